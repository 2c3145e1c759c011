/* SPDX-License-Identifier: MIT
 *
 * wl_shm pools: the memory must be there before the compositor maps it. The client can still shrink
 * its file later; compositors guard against that themselves, as they must for local clients.
 */
#include <sys/stat.h>

#include "br-tables.h"
#include "hooks.h"
#include "hr-hooks.h"

/* Error codes of wl_shm. Source: wayland.xml, wl_shm.error. */
enum { SHM_ERROR_INVALID_STRIDE = 1, SHM_ERROR_INVALID_FD = 2 };

enum br_verdict hr_hook_wl_shm_create_pool(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_shm_create_pool *args)
{
	const struct br_handle *handle = &msg->handles[msg->args[1].handle];
	struct br_object *pool = msg->args[0].object;
	int32_t size = msg->args[2].i;
	struct stat st;
	(void)args;
	if (size <= 0 || (uint32_t)size > BR_LIMIT_POOL_BYTES) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_STRIDE,
				      "create_pool: invalid size (%d)", size);
		return BR_DROP;
	}
	if (handle->fd < 0 || fstat(handle->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < size) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_FD,
				      "create_pool: the file does not hold %d bytes of memory",
				      size);
		return BR_DROP;
	}
	/* All that resize needs to know: no allocation for it. */
	pool->data = (void *)(uintptr_t)size;
	return BR_FORWARD;
}

enum br_verdict hr_hook_wl_shm_pool_resize(struct br_relay *relay, struct br_msg *msg,
					   const struct br_args_wl_shm_pool_resize *args)
{
	int32_t size = msg->args[0].i;
	int32_t old = (int32_t)(uintptr_t)msg->object->data;
	(void)args;
	if (size < old || (uint32_t)size > BR_LIMIT_POOL_BYTES) {
		br_relay_client_error(relay, msg->object, SHM_ERROR_INVALID_FD,
				      "resize: a pool of %d bytes can't become %d bytes", old,
				      size);
		return BR_DROP;
	}
	msg->object->data = (void *)(uintptr_t)size;
	return BR_FORWARD;
}

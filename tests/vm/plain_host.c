/* SPDX-License-Identifier: MIT
 *
 * plain-host --vhost-user PATH --wayland-display SOCKET: a host as crosvm's, for tests of the guest in a
 * virtual machine. Behind the same virtio-gpu device is another cross-domain context, which takes and
 * does what those hosts do, and no more: a capset of 16 bytes; one counter for items, and one for read
 * pipes that moves even on a wrong guess; a mailbox of one page, written only for a POLL, once; fences of
 * ring 0 and of no ring at once, of other rings than 0 and 1 never; sizes of blobs to the byte; sends that
 * block. What the guest does against the rules is printed as a line with "RULE".
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <wayland-server-core.h>

#include "../gpu/device.h"
#include "../gpu/fence.h"
#include "../gpu/resource.h"
#include "../wayland/context.h"
#include "../wayland/host.h"
#include "fd.h"
#include "vhost.h"

#define PAGE 4096u
#define MAX_THINGS 4096

/** An image, or memory or a pipe of the compositor's, by its id. */
struct thing {
	uint32_t id;
	enum { IMAGE, MEMORY, WRITE_PIPE, READ_PIPE } kind;
	int fd;
	uint64_t size;
	struct wl_event_source *source;
};

struct context {
	struct hr_context base;
	int fd; /* compositor; -1 before INIT */
	struct wl_event_source *source;
	struct hr_resource *query, *channel;
	struct wl_list polls;
	uint32_t n_fences, last_item, last_pipe;
	struct thing things[MAX_THINGS];
	size_t n_things, turn;
};

static const char *display;

#define RULE(...) (fprintf(stderr, "plain-host: RULE: " __VA_ARGS__), fputc('\n', stderr), -EINVAL)

static struct context *from_base(struct hr_context *base)
{
	return (struct context *)base;
}

static struct thing *add_thing(struct context *context, int kind, uint32_t id, int fd,
			       uint64_t size)
{
	if (context->n_things == MAX_THINGS) {
		abort();
	}
	struct thing *thing = &context->things[context->n_things++];
	*thing = (struct thing){.id = id, .kind = kind, .fd = fd, .size = size};
	return thing;
}

static struct thing *find_thing(struct context *context, uint32_t id)
{
	for (size_t i = 0; i < context->n_things; i++) {
		if (context->things[i].id == id) {
			return &context->things[i];
		}
	}
	return NULL;
}

static void drop_thing(struct thing *thing)
{
	if (thing->source) {
		wl_event_source_remove(thing->source);
	}
	br_fd_clear(&thing->fd);
	*thing = (struct thing){.fd = -1};
}

/* --- to the guest: one event for each POLL --- */

static void write_mailbox(struct context *context, const void *head, size_t head_bytes,
			  const void *data, size_t bytes)
{
	const struct iovec iov[] = {
		{.iov_base = (void *)head, .iov_len = head_bytes},
		{.iov_base = (void *)data, .iov_len = bytes},
	};
	if (hr_resource_write(context->channel, 0, iov, 2) < 0) {
		(void)RULE("the mailbox is too small");
	}
	struct hr_fence *fence = wl_container_of(context->polls.next, fence, link);
	hr_fence_complete(fence);
}

/* As those hosts tell fds apart: seekable is memory, write-only is a pipe. */
static void add_item(struct context *context, struct xd_send_receive *head, int fd)
{
	uint32_t i = head->num_identifiers++;
	off_t size = lseek(fd, 0, SEEK_END);
	bool pipe = size < 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
	if (size < 0 && !pipe) {
		abort(); /* their thread ends */
	}
	head->identifiers[i] = ++context->last_item;
	head->types[i] = pipe ? XD_ITEM_WRITE_PIPE : XD_ITEM_BLOB;
	head->sizes[i] = pipe ? 0 : (uint32_t)size;
	(void)add_thing(context, pipe ? WRITE_PIPE : MEMORY, context->last_item, fd,
			pipe ? 0 : (uint64_t)size);
}

static bool receive(struct context *context)
{
	uint8_t data[XD_MAX_DATA_COMPAT];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(XD_MAX_IDENTIFIERS * sizeof(int))];
	} control;
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(context->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == EAGAIN) {
		return false;
	}
	struct xd_send_receive head = {.hdr.cmd = XD_CMD_RECEIVE,
				       .opaque_data_size = n > 0 ? (uint32_t)n : 0};
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c)) {
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			add_item(context, &head, fd);
		}
	}
	write_mailbox(context, &head, sizeof(head), data, head.opaque_data_size);
	return true;
}

static bool read_pipe(struct context *context, struct thing *thing)
{
	uint8_t data[PAGE - sizeof(struct xd_read_write)];
	ssize_t n = read(thing->fd, data, sizeof(data));
	if (n < 0 && errno == EAGAIN) {
		return false;
	}
	struct xd_read_write head = {
		.hdr.cmd = XD_CMD_READ,
		.identifier = thing->id,
		.hang_up = n <= 0,
		.opaque_data_size = n > 0 ? (uint32_t)n : 0,
	};
	if (n <= 0) {
		drop_thing(thing);
	}
	write_mailbox(context, &head, sizeof(head), data, head.opaque_data_size);
	return true;
}

static bool one_event(struct context *context)
{
	for (size_t i = 0; i < context->n_things; i++) {
		struct thing *thing = &context->things[(context->turn + i) % context->n_things];
		if (thing->id != 0 && thing->kind == READ_PIPE && read_pipe(context, thing)) {
			context->turn += i + 1;
			return true;
		}
	}
	return receive(context);
}

static void pump(struct context *context)
{
	while (!wl_list_empty(&context->polls) && context->fd >= 0 && one_event(context)) {
	}
	uint32_t mask = wl_list_empty(&context->polls) ? 0 : WL_EVENT_READABLE;
	if (context->source) {
		(void)wl_event_source_fd_update(context->source, mask);
	}
}

static int handle_readable(int fd, uint32_t mask, void *data)
{
	(void)fd;
	(void)mask;
	pump(data);
	return 0;
}

/* --- commands --- */

static int connect_compositor(struct context *context)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", display);
	context->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(context->fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		return -errno;
	}
	context->source = wl_event_loop_add_fd(context->base.device->host->loop, context->fd, 0,
					       handle_readable, context);
	return 0;
}

static struct hr_resource *ring(struct context *context, uint32_t id)
{
	struct hr_resource *resource = hr_resource_find_attached(&context->base, id);
	return resource ? hr_resource_ref(resource) : NULL;
}

static int do_init(struct context *context, const uint8_t *bytes, size_t len)
{
	struct xd_init init;
	if (len != sizeof(init)) {
		return RULE("INIT of %zu bytes", len);
	}
	memcpy(&init, bytes, sizeof(init));
	context->query = ring(context, init.query_ring_id);
	context->channel = ring(context, init.channel_ring_id);
	if (!context->query || !context->channel || context->channel->size != PAGE) {
		return RULE("INIT with rings that can't be");
	}
	return connect_compositor(context);
}

static int do_image(struct context *context, const uint8_t *bytes)
{
	struct xd_get_image_requirements cmd;
	memcpy(&cmd, bytes, sizeof(cmd));
	if (cmd.drm_format != 0x20203852) {
		return RULE("an image of format %x", cmd.drm_format);
	}
	uint64_t size = ((uint64_t)cmd.width * cmd.height + PAGE - 1) / PAGE * PAGE;
	struct xd_image_requirements answer = {
		.strides[0] = cmd.width,
		.size = size,
		.blob_id = ++context->last_item,
		.map_info = 1,
		.memory_idx = -1,
		.physical_device_idx = -1,
	};
	(void)add_thing(context, IMAGE, answer.blob_id, -1, size);
	const struct iovec iov = {&answer, sizeof(answer)};
	return hr_resource_write(context->query, 0, &iov, 1);
}

/* The fd that an item stands for, the caller's. */
static int resolve(struct context *context, uint32_t type, uint32_t id)
{
	struct hr_resource *resource;
	int ends[2];
	switch (type) {
	case XD_ITEM_BLOB:
		resource = hr_resource_find_attached(&context->base, id);
		if (!resource || hr_resource_need_memory(resource) < 0 || resource->memory_offset) {
			return RULE("a blob that is no memory of the host (%u)", id);
		}
		return br_fd_dup(resource->memory_fd);
	case XD_ITEM_READ_PIPE:
		if (id != ++context->last_pipe) {
			return RULE("read pipe %x, not %x", id, context->last_pipe);
		}
		if (pipe2(ends, O_CLOEXEC) < 0) {
			return -errno;
		}
		(void)br_fd_set_nonblock(ends[0]);
		struct thing *thing = add_thing(context, READ_PIPE, id, ends[0], 0);
		thing->source = wl_event_loop_add_fd(context->base.device->host->loop, ends[0],
						     WL_EVENT_READABLE, handle_readable, context);
		return ends[1];
	default:
		return RULE("an item of type %u", type);
	}
}

static int send_all(int fd, const uint8_t *bytes, size_t len, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(XD_MAX_IDENTIFIERS * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (n_fds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0) {
			return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
		}
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

static int do_send(struct context *context, const uint8_t *bytes, size_t len)
{
	struct xd_send_receive head;
	int fds[XD_MAX_IDENTIFIERS], ret = 0;
	size_t n = 0, pipes = 0;
	memcpy(&head, bytes, sizeof(head));
	if (head.num_identifiers > XD_MAX_IDENTIFIERS ||
	    head.opaque_data_size != len - sizeof(head) ||
	    head.opaque_data_size > XD_MAX_DATA_COMPAT) {
		return RULE("a SEND of %zu bytes with %u items", len, head.num_identifiers);
	}
	for (; n < head.num_identifiers; n++) {
		fds[n] = resolve(context, head.types[n], head.identifiers[n]);
		pipes += head.types[n] == XD_ITEM_READ_PIPE;
		if (fds[n] < 0) {
			ret = fds[n];
			break;
		}
	}
	if (pipes > 1) {
		ret = RULE("%zu read pipes in one SEND", pipes);
	}
	ret = ret < 0 ? ret
		      : send_all(context->fd, bytes + sizeof(head), head.opaque_data_size, fds, n);
	while (n > 0) {
		br_fd_clear(&fds[--n]);
	}
	return ret;
}

static int do_write(struct context *context, const uint8_t *bytes, size_t len)
{
	struct xd_read_write head;
	memcpy(&head, bytes, sizeof(head));
	struct thing *thing = find_thing(context, head.identifier);
	if (head.opaque_data_size != len - sizeof(head) || head.opaque_data_size > PAGE ||
	    (thing && thing->kind != WRITE_PIPE)) {
		return RULE("a WRITE of %zu bytes to %u", len, head.identifier);
	}
	if (!thing) {
		return 0; /* an error that no guest sees */
	}
	for (size_t at = 0; at < head.opaque_data_size;) {
		ssize_t n = write(thing->fd, bytes + sizeof(head) + at, head.opaque_data_size - at);
		if (n < 0) {
			drop_thing(thing);
			return 0;
		}
		at += (size_t)n;
	}
	if (head.hang_up) {
		drop_thing(thing);
	}
	return 0;
}

static int run_command(struct context *context, struct hr_submit *submit, const uint8_t *bytes,
		       size_t len)
{
	uint8_t cmd = bytes[0];
	if (cmd != XD_CMD_INIT && context->fd < 0) {
		return RULE("command %u before INIT", cmd);
	}
	if (submit->fenced && submit->on_ring && submit->ring_idx != (cmd == XD_CMD_POLL)) {
		return RULE("command %u fenced on ring %u", cmd, submit->ring_idx);
	}
	switch (cmd) {
	case XD_CMD_INIT:
		return do_init(context, bytes, len);
	case XD_CMD_GET_IMAGE_REQUIREMENTS:
		return len == sizeof(struct xd_get_image_requirements)
			       ? do_image(context, bytes)
			       : RULE("a query of %zu", len);
	case XD_CMD_POLL:
		if (!wl_list_empty(&context->polls)) {
			return RULE("a POLL while one is outstanding");
		}
		return hr_fence_hold(submit, &context->polls, &context->n_fences, true);
	case XD_CMD_SEND:
		return len >= sizeof(struct xd_send_receive) ? do_send(context, bytes, len)
							     : RULE("a SEND of %zu", len);
	case XD_CMD_WRITE:
		return len >= sizeof(struct xd_read_write) ? do_write(context, bytes, len)
							   : RULE("a WRITE of %zu", len);
	default:
		return RULE("command %u", cmd);
	}
}

static int context_submit(struct hr_context *base, struct hr_submit *submit)
{
	struct context *context = from_base(base);
	for (size_t at = 0; at < submit->len;) {
		struct xd_header head;
		if (submit->len - at < sizeof(head)) {
			return RULE("half a command");
		}
		memcpy(&head, submit->bytes + at, sizeof(head));
		if (head.cmd_size < sizeof(head) || head.cmd_size > submit->len - at) {
			return RULE("cmd_size %u", head.cmd_size);
		}
		int ret = run_command(context, submit, submit->bytes + at, head.cmd_size);
		if (ret < 0) {
			return ret;
		}
		at += head.cmd_size;
	}
	pump(context);
	return 0;
}

static int context_create_blob(struct hr_context *base, uint64_t blob_id, uint64_t size,
			       struct hr_memory *ret_memory)
{
	struct thing *thing = find_thing(from_base(base), (uint32_t)blob_id);
	if (!thing || (thing->kind != IMAGE && thing->kind != MEMORY) ||
	    size != (thing->size + PAGE - 1) / PAGE * PAGE) {
		return RULE("blob %u of %llu bytes", (unsigned)blob_id, (unsigned long long)size);
	}
	*ret_memory = (struct hr_memory){.fd = -1, .fresh = true, .map_info = 1};
	if (thing->kind == MEMORY) {
		*ret_memory = (struct hr_memory){.fd = br_fd_take(&thing->fd), .map_info = 1};
		drop_thing(thing);
	}
	return 0;
}

static void context_resume(struct hr_context *base)
{
	pump(from_base(base));
}

static void context_destroy(struct hr_context *base)
{
	struct context *context = from_base(base);
	for (size_t i = 0; i < context->n_things; i++) {
		drop_thing(&context->things[i]);
	}
	if (context->source) {
		wl_event_source_remove(context->source);
	}
	br_fd_clear(&context->fd);
	hr_fence_complete_all(&context->polls);
	hr_resource_unref(context->query);
	hr_resource_unref(context->channel);
	free(context);
}

static int context_create(const struct hr_capset *kind, struct hr_device *device, uint32_t id,
			  const char *name, struct hr_context **ret_context)
{
	(void)kind;
	(void)id;
	(void)name;
	static const struct hr_context_ops ops = {
		.destroy = context_destroy,
		.submit = context_submit,
		.create_blob = context_create_blob,
		.resume = context_resume,
	};
	struct context *context = calloc(1, sizeof(*context));
	(void)device;
	if (!context) {
		return -ENOMEM;
	}
	context->base.ops = &ops;
	context->fd = -1;
	context->last_item = XD_FIRST_ITEM_ID - 1;
	context->last_pipe = XD_FIRST_READ_PIPE_ID - 1;
	wl_list_init(&context->polls);
	*ret_context = &context->base;
	return 0;
}

static void fill_capset(const struct hr_capset *kind, const struct hr_device *device,
			void *ret_capset)
{
	(void)kind;
	const struct xd_capset capset = {.version = 1,
					 .supported_channels = 1 << XD_CHANNEL_WAYLAND};
	(void)device;
	memcpy(ret_capset, &capset, sizeof(capset));
}

/* In the place of causeway-host's. */
const struct hr_capset hr_wayland_capset = {
	.id = XD_CAPSET_ID,
	.max_version = XD_CAPSET_VERSION,
	.size = sizeof(struct xd_capset),
	.fill = fill_capset,
	.create = context_create,
};

static int handle_signal(int number, void *data)
{
	(void)number;
	*(bool *)data = true;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"vhost-user", required_argument, NULL, 'v'},
		{"wayland-display", required_argument, NULL, 'w'},
		{0},
	};
	/* Each blob has memory of its own there. */
	const struct hr_window_options window = {.bytes = 256u << 20, .kind = HR_WINDOW_EACH};
	struct hr_host host = {.next_client = 1};
	struct hr_vhost *vhost;
	const char *path = NULL;
	bool stop = false;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'v') {
			path = optarg;
		} else if (option == 'w') {
			display = optarg;
		} else {
			return 2;
		}
	}
	host.loop = wl_event_loop_create();
	struct wl_event_source *term =
		wl_event_loop_add_signal(host.loop, SIGTERM, handle_signal, &stop);
	signal(SIGPIPE, SIG_IGN);
	if (!path || !display || hr_vhost_start(&host, path, &window, &vhost) < 0) {
		fprintf(stderr, "plain-host: can't start\n");
		return 1;
	}
	while (!stop) {
		wl_event_loop_dispatch(host.loop, -1);
	}
	hr_vhost_finish(vhost);
	wl_event_source_remove(term);
	wl_event_loop_destroy(host.loop);
	return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Files of memory, apart from the protocol that tells of them.
 */
#include "dmabuf.h"

#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

bool br_dmabuf_is(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && fs.f_type == DMA_BUF_MAGIC;
}

bool br_dmabuf_readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	return poll(&wait, 1, 0) != 0;
}

static void sync_cpu(int fd, uint64_t flags)
{
	const struct dma_buf_sync sync = {.flags = flags};
	int ret;
	do {
		ret = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
}

void br_dmabuf_begin_read(int fd)
{
	sync_cpu(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
}

void br_dmabuf_end_read(int fd)
{
	sync_cpu(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
}

uint64_t br_memory_bytes(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !br_dmabuf_is(fd))) {
		return 0;
	}
	/* dma-bufs of older kernels tell their size only this way. */
	off_t end = st.st_size > 0 ? st.st_size : lseek(fd, 0, SEEK_END);
	return end > 0 ? (uint64_t)end : 0;
}

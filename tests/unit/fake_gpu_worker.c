/* SPDX-License-Identifier: MIT
 *
 * In a GPU worker's place: hands its end of the pair to the test, which plays the worker, and lives until it is
 * killed or the test hangs up.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../host-renderer/worker/protocol.h"
#include "scm.h"

int main(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("FAKE_WORKER_SOCKET");
	char byte = 'w';
	const struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	int worker_fd = WK_FD;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || path == NULL || strlen(path) >= sizeof(address.sun_path)) {
		return 1;
	}
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    br_scm_send(fd, &iov, 1, &worker_fd, 1) < 0) {
		return 1;
	}
	(void)close(WK_FD);
	/* The test's byte is the status to end with. */
	return read(fd, &byte, 1) == 1 ? byte : 0;
}

/* SPDX-License-Identifier: MIT
 *
 * What causeway-host adds to QEMU command lines. What QEMU itself makes of repeated options is tested
 * with QEMU, in tests/integration/test_launch.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "launch/qemu_args.h"

#define MEMORY(size)                                                                               \
	"-object memory-backend-memfd,id=causeway-mem,size=" size ",share=on "                     \
	"-machine memory-backend=causeway-mem "
#define CHARDEV "-chardev socket,id=causeway,fd=7 "
#define JSON(driver)                                                                               \
	"-device '{\"driver\":\"" driver "\",\"chardev\":\"causeway\",\"virtio-id\":16,"           \
	"\"num_vqs\":2,\"vq_size\":1024,\"config_size\":16}'"
#define DEVICE CHARDEV JSON("vhost-user-test-device-pci")
#define MMIO_DEVICE CHARDEV "-global virtio-mmio.force-legacy=false " JSON("vhost-user-test-device")

/* The words of a command line, separated by blanks. */
struct words {
	char *text;
	char *argv[64];
};

static void split(struct words *words, const char *line)
{
	size_t count = 0;
	words->text = strdup(line);
	for (char *word = strtok(words->text, " "); word != NULL; word = strtok(NULL, " ")) {
		CHECK(count < 63);
		words->argv[count++] = word;
	}
	words->argv[count] = NULL;
}

static const struct {
	const char *user;
	const char *added;
} good[] = {
	{"", MEMORY("128M") DEVICE},
	{"-m 4G", MEMORY("4096M") DEVICE},
	{"-m 4g disk.img", MEMORY("4096M") DEVICE},
	{"--m 2048", MEMORY("2048M") DEVICE},
	{"-m 512M -m 1G", MEMORY("1024M") DEVICE},
	{"-m 4G,slots=2,maxmem=8G", MEMORY("4096M") DEVICE},
	{"-m size=4G,slots=2,maxmem=8G", MEMORY("4096M") DEVICE},
	{"-m slots=2,maxmem=8G", MEMORY("128M") DEVICE},
	{"-m 1G -m slots=2,maxmem=8G", MEMORY("1024M") DEVICE},
	{"-m 1.5G", MEMORY("1536M") DEVICE},
	{"-m 1T", MEMORY("1048576M") DEVICE},
	{"-m 524289k", MEMORY("536879104") DEVICE},
	{"-m 536870912b", MEMORY("512M") DEVICE},
	{"-M q35,memory.size=2G", MEMORY("2048M") DEVICE},
	{"-M q35,memory.size=536870912", MEMORY("512M") DEVICE},
	{"-M q35,memory.size=2G -m 512", MEMORY("512M") DEVICE},
	{"-m 512 -machine memory.size=2G", MEMORY("2048M") DEVICE},
	{"-append -m -m 1G", MEMORY("1024M") DEVICE},
	{"-nodefaults -S -display none -M q35,accel=kvm:tcg -smp 4 -m 8G -cpu host",
	 MEMORY("8192M") DEVICE},
	{"-M pc -m 1G", MEMORY("1024M") DEVICE},
	/* Memory of the user's own. */
	{"-m 4G -object memory-backend-memfd,id=a,size=4G,share=on -machine q35,memory-backend=a",
	 DEVICE},
	{"-m 4G -object memory-backend-memfd,id=a,size=4G -machine memory-backend=a -M q35",
	 DEVICE},
	{"-machine memory-backend=a -object memory-backend-shm,size=4G,id=a -m 4G", DEVICE},
	{"-object memory-backend-file,id=a,share=yes,mem-path=/x,,share=off,size=1G -M "
	 "memory-backend=a",
	 DEVICE},
	{"-object qom-type=memory-backend-ram,id=a,share=true,size=1G -M memory-backend=a", DEVICE},
	{"-object {\"id\":\"a\"} -M q35,memory-backend=a", DEVICE},
	{"-readconfig vm.cfg -M q35,memory-backend=a", DEVICE},
	{"-readconfig vm.cfg -m 1G", MEMORY("1024M") DEVICE},
	{"-m 2G -object memory-backend-memfd,id=a,size=1G -object "
	 "memory-backend-memfd,id=b,size=1G "
	 "-numa node,memdev=a -numa node,memdev=b -numa cpu,node-id=0,socket-id=0",
	 DEVICE},
	{"-m 2G -object memory-backend-memfd,id=a,size=2G -numa type=node,memdev=a -numa node",
	 DEVICE},
	/* Backends that are not the guest's memory. */
	{"-m 1G -object memory-backend-file,id=s,mem-path=/x,size=1M -device "
	 "ivshmem-plain,memdev=s",
	 MEMORY("1024M") DEVICE},
	{"-m 1G,slots=1,maxmem=2G -object memory-backend-memfd,id=d,size=1G -device "
	 "pc-dimm,memdev=d",
	 MEMORY("1024M") DEVICE},
	{"-m 1G -object rng-random,id=r,filename=/dev/urandom -object {\"id\":\"x\"}",
	 MEMORY("1024M") DEVICE},
	{"-device virtio-gpu-pci -chardev socket,id=c,path=/x -device vhost-user-fs-pci,chardev=c",
	 MEMORY("128M") DEVICE},
	/* Machines without PCI. */
	{"-M microvm -m 1G", MEMORY("1024M") MMIO_DEVICE},
	{"-M pc -machine type=microvm,x-option-roms=off", MEMORY("128M") MMIO_DEVICE},
	{"-M microvm,pcie=on", MEMORY("128M") DEVICE},
	{"-M microvm,pcie=on -M pcie=off", MEMORY("128M") MMIO_DEVICE},
};

TEST(added_arguments)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct words words;
		struct hr_qemu_args args;
		char err[HR_QEMU_ERROR_BYTES] = "";
		split(&words, good[i].user);
		int ret = hr_qemu_args_find(words.argv, "fd=7", &args, err);
		if (ret != 0) {
			FAIL("'%s': %s (%d)", good[i].user, err, ret);
		}
		char *line = hr_qemu_args_quote(args.args);
		if (strcmp(line, good[i].added) != 0) {
			FAIL("'%s': got '%s', not '%s'", good[i].user, line, good[i].added);
		}
		CHECK((args.warning != NULL) == (strstr(line, "mmio") != NULL));
		free(line);
		free(words.text);
		hr_qemu_args_finish(&args);
		CHECK_INT(args.count, 0);
	}
}

static const struct {
	const char *user;
	const char *error; /* a part of it */
} bad[] = {
	{"-m lots", "'lots' is not a memory size: write it like -m 4G"},
	{"-m 0x800", "'0x800' is not a memory size"},
	{"-m 4GB", "'4GB' is not a memory size"},
	{"-m 1.2.3G", "'1.2.3G' is not a memory size"},
	{"-m -4G", "'-4G' is not a memory size"},
	{"-m 0", "'0' is not a memory size"},
	{"-m 99999999999999999999", "is not a memory size"},
	{"-m 9999P", "is not a memory size"},
	{"-m 11111111111111111111111111111111111111111111111111", "is not a memory size"},
	{"-readconfig vm.cfg", "memory size is not on the command line: add -m SIZE"},
	{"-m 4G -object memory-backend-ram,id=a,size=4G -M q35,memory-backend=a",
	 "memory 'a' is not shared: add share=on"},
	{"-m 4G -object memory-backend-file,id=a,size=4G,mem-path=/x -M memory-backend=a",
	 "memory 'a' is not shared: add share=on"},
	{"-m 4G -object memory-backend-memfd,id=a,size=4G,share=off -M memory-backend=a",
	 "memory 'a' is not shared: add share=on"},
	{"-m 4G -M memory-backend=a", "memory 'a' is in no -object: add -object"},
	{"-m 2G -object memory-backend-memfd,id=a,size=1G -object memory-backend-ram,id=b,size=1G "
	 "-numa node,memdev=a -numa node,memdev=b",
	 "memory 'b' is not shared"},
	{"-numa node,cpus=0-3", "-numa node needs memory that is shared"},
	{"-object memory-backend-ram,id=d,size=1G -device pc-dimm,memdev=d", "'d' is not shared"},
	{"-object memory-backend-ram,id=d,size=1G -device virtio-mem-pci,memdev=d",
	 "'d' is not shared"},
	{"-mem-path /dev/hugepages", "-object memory-backend-file,id=ID,mem-path=PATH"},
	{"-daemonize -m 1G", "--vhost-user PATH"},
	{"-device vhost-user-test-device-pci,virtio-id=16,chardev=c", "is there already"},
	{"-device {\"driver\":\"vhost-user-test-device-pci\",\"virtio-id\":16,\"num_vqs\":2}",
	 "is there already"},
};

TEST(refused_arguments)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct words words;
		struct hr_qemu_args args;
		char err[HR_QEMU_ERROR_BYTES] = "";
		split(&words, bad[i].user);
		int ret = hr_qemu_args_find(words.argv, "fd=7", &args, err);
		if (ret != -EINVAL || strstr(err, bad[i].error) == NULL) {
			FAIL("'%s': %d, '%s', not '%s'", bad[i].user, ret, err, bad[i].error);
		}
		free(words.text);
	}
}

TEST(too_many_backends)
{
	char *argv[2 * 33 + 1];
	for (int i = 0; i < 33; i++) {
		argv[2 * i] = "-object";
		argv[2 * i + 1] = "memory-backend-memfd,id=a,size=1G";
	}
	argv[66] = NULL;
	struct hr_qemu_args args;
	char err[HR_QEMU_ERROR_BYTES] = "";
	CHECK_INT(hr_qemu_args_find(argv, "fd=7", &args, err), -EINVAL);
	CHECK_STR(err, "there are more than 32 memory backends");
	argv[64] = NULL;
	CHECK_INT(hr_qemu_args_find(argv, "fd=7", &args, err), 0);
	hr_qemu_args_finish(&args);
}

TEST(quoting)
{
	char *argv[] = {"-name", "it's a VM", "", "a,b=/c:d.e", "$(reboot)", NULL};
	char *line = hr_qemu_args_quote(argv);
	CHECK_STR(line, "-name 'it'\\''s a VM' '' a,b=/c:d.e '$(reboot)'");
	free(line);
	char *path = hr_qemu_path_property("/run/a,b,,c");
	CHECK_STR(path, "path=/run/a,,b,,,,c");
	free(path);
}

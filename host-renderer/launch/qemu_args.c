/* SPDX-License-Identifier: MIT
 *
 * Source: qemu-options.hx (option syntax), checked with QEMU 11.1.3.
 */
#include "qemu_args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMED 32		    /* memory backends, and uses of them, on one command line */
#define DEFAULT_MEMORY (128u << 20) /* QEMU's, of the machines pc, q35, microvm and virt */
#define MEMORY_ALIGN 8192	    /* to which QEMU rounds -m up */
#define MAX_MEMORY 0x1p52	    /* bytes that a double counts exactly */
#define MEMORY_ID "causeway-mem"
#define DEVICE "vhost-user-test-device"
/* In JSON, because QEMU makes these devices after all others: ones with an address of their own, such as
 * all of libvirt's, would find theirs taken. */
#define DEVICE_JSON                                                                                \
	"{\"driver\":\"%s\",\"chardev\":\"causeway\",\"virtio-id\":16,\"num_vqs\":2,"              \
	"\"vq_size\":1024,\"config_size\":16}"

/* A part of an argument; commas in it are doubled still. text NULL: not given. */
struct slice {
	const char *text;
	size_t len;
};

struct backend {
	struct slice id;
	bool shared;
};

/* What matters of the user's arguments. */
struct user_args {
	struct slice machine;	     /* type */
	struct slice memory;	     /* size */
	char memory_unit;	     /* where the size has none */
	struct slice machine_memory; /* -machine memory-backend= */
	struct slice memdevs[MAX_NAMED];
	struct backend backends[MAX_NAMED];
	unsigned memdev_count, backend_count;
	bool pcie;			    /* -machine pcie=on, of microvm */
	bool hidden_memory, hidden_objects; /* -readconfig, and for objects JSON: not read here */
	bool numa;			    /* -numa node */
	bool too_many;			    /* of backends or memdevs */
	const char *refused;		    /* an option that can't go with the device: why */
};

static bool slice_is(struct slice slice, const char *text)
{
	return slice.text != NULL && slice.len == strlen(text) &&
	       memcmp(slice.text, text, slice.len) == 0;
}

static bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

static bool slice_starts(struct slice slice, const char *text)
{
	return slice.text != NULL && slice.len >= strlen(text) &&
	       memcmp(slice.text, text, strlen(text)) == 0;
}

static bool slice_is_on(struct slice slice)
{
	return slice_is(slice, "on") || slice_is(slice, "yes") || slice_is(slice, "true") ||
	       slice_is(slice, "y");
}

/* Cut the next key=value off *rest. A part without '=' has the key text NULL. */
static bool next_property(const char **rest, struct slice *ret_key, struct slice *ret_value)
{
	const char *at = *rest;
	if (*at == '\0') {
		return false;
	}
	const char *equals = NULL, *end = at;
	while (*end != '\0' && (end[0] != ',' || end[1] == ',')) {
		if (*end == '=' && equals == NULL) {
			equals = end;
		}
		end += end[0] == ',' ? 2 : 1;
	}
	*ret_key = equals != NULL ? (struct slice){at, (size_t)(equals - at)} : (struct slice){0};
	const char *value = equals != NULL ? equals + 1 : at;
	*ret_value = (struct slice){value, (size_t)(end - value)};
	*rest = *end == ',' ? end + 1 : end;
	return true;
}

/* The value of a property; the last one wins. implied: the first part may leave its name out, and this
 * is its name. */
static struct slice property(const char *text, const char *name, const char *implied)
{
	struct slice key, value, found = {0};
	for (bool first = true; next_property(&text, &key, &value); first = false) {
		bool named = key.text != NULL ? slice_is(key, name)
					      : first && strcmp(implied, name) == 0;
		if (named) {
			found = value;
		}
	}
	return found;
}

/* True if it was given. */
static bool set_if_given(struct slice *slice, struct slice value)
{
	if (value.text == NULL || value.len == 0) {
		return false;
	}
	*slice = value;
	return true;
}

static void read_machine(struct user_args *user, const char *value)
{
	(void)set_if_given(&user->machine, property(value, "type", "type"));
	if (set_if_given(&user->memory, property(value, "memory.size", "type"))) {
		user->memory_unit = 'b';
	}
	(void)set_if_given(&user->machine_memory, property(value, "memory-backend", "type"));
	struct slice pcie = property(value, "pcie", "type");
	if (pcie.text != NULL) {
		user->pcie = slice_is_on(pcie);
	}
}

static void read_memory(struct user_args *user, const char *value)
{
	if (set_if_given(&user->memory, property(value, "size", "size"))) {
		user->memory_unit = 'm';
	}
}

static void add_memdev(struct user_args *user, struct slice memdev)
{
	if (memdev.text == NULL) {
		return;
	}
	if (user->memdev_count == MAX_NAMED) {
		user->too_many = true;
		return;
	}
	user->memdevs[user->memdev_count++] = memdev;
}

static void read_numa(struct user_args *user, const char *value)
{
	if (slice_is(property(value, "type", "type"), "node")) {
		user->numa = true;
		add_memdev(user, property(value, "memdev", "type"));
	}
}

static void read_object(struct user_args *user, const char *value)
{
	if (value[0] == '{') {
		user->hidden_objects = true;
		return;
	}
	struct slice type = property(value, "qom-type", "qom-type");
	if (!slice_starts(type, "memory-backend-")) {
		return;
	}
	if (user->backend_count == MAX_NAMED) {
		user->too_many = true;
		return;
	}
	struct slice share = property(value, "share", "qom-type");
	/* A memfd is shared, and shm always is, unless told otherwise. */
	bool shared =
		slice_is(type, "memory-backend-memfd") || slice_is(type, "memory-backend-shm");
	user->backends[user->backend_count++] = (struct backend){
		.id = property(value, "id", "qom-type"),
		.shared = share.text != NULL ? slice_is_on(share) : shared,
	};
}

static void read_device(struct user_args *user, const char *value)
{
	struct slice driver = property(value, "driver", "driver");
	bool ours = value[0] == '{'
			    ? strstr(value, "\"" DEVICE) != NULL &&
				      strstr(value, "\"virtio-id\":16,") != NULL
			    : slice_starts(driver, DEVICE) &&
				      slice_is(property(value, "virtio-id", "driver"), "16");
	if (ours) {
		user->refused =
			"-device " DEVICE " is there already: leave it and its -chardev out, "
			"causeway-host adds both";
	} else if (slice_is(driver, "pc-dimm") || slice_starts(driver, "virtio-mem")) {
		add_memdev(user, property(value, "memdev", "driver"));
	}
}

static void read_mem_path(struct user_args *user, const char *value)
{
	(void)value;
	user->refused = "-mem-path gives memory that can't be shared: write it as -object "
			"memory-backend-file,id=ID,mem-path=PATH,size=SIZE,share=on "
			"-machine memory-backend=ID";
}

static void read_daemonize(struct user_args *user, const char *value)
{
	(void)value;
	user->refused = "-daemonize would leave causeway-host without the VM: leave it out, or "
			"start causeway-host --vhost-user PATH apart from QEMU";
}

static void read_config(struct user_args *user, const char *value)
{
	(void)value;
	user->hidden_memory = true;
	user->hidden_objects = true;
}

static void skip(struct user_args *user, const char *value)
{
	(void)user;
	(void)value;
}

static const struct {
	const char *name;
	void (*read)(struct user_args *user, const char *value);
	bool alone; /* takes no value */
} known[] = {
	{"M", read_machine},
	{"machine", read_machine},
	{"m", read_memory},
	{"numa", read_numa},
	{"object", read_object},
	{"device", read_device},
	{"mem-path", read_mem_path},
	{"readconfig", read_config},
	{"daemonize", read_daemonize, true},
	/* Its value may look like an option. */
	{"append", skip},
};

static void read_args(struct user_args *user, char *const *argv)
{
	for (; *argv != NULL; argv++) {
		const char *name = *argv;
		if (name[0] != '-') {
			continue;
		}
		name += name[1] == '-' ? 2 : 1;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strcmp(name, known[i].name) != 0) {
				continue;
			}
			if (known[i].alone) {
				known[i].read(user, "");
			} else if (argv[1] != NULL) {
				known[i].read(user, *++argv);
			}
			break;
		}
	}
}

/* In bytes, as QEMU counts -m; 0: not a size. unit: where it has none. */
static uint64_t memory_bytes(struct slice size, char unit)
{
	static const char suffixes[] = "bkmgtp";
	char text[32];
	if (size.len == 0 || size.len >= sizeof(text)) {
		return 0;
	}
	memcpy(text, size.text, size.len);
	text[size.len] = '\0';
	size_t digits = strspn(text, "0123456789.");
	if (text[digits] != '\0') {
		unit = (char)(text[digits] | 0x20);
	}
	const char *suffix = strchr(suffixes, unit);
	if (digits == 0 || suffix == NULL || (text[digits] != '\0' && text[digits + 1] != '\0')) {
		return 0;
	}
	text[digits] = '\0';
	char *end;
	double bytes = strtod(text, &end) * (double)(1ull << (10 * (suffix - suffixes)));
	if (*end != '\0' || bytes < 1 || bytes > MAX_MEMORY) {
		return 0;
	}
	return ((uint64_t)bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
}

static int fail(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(char *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err, HR_QEMU_ERROR_BYTES, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Memory that the device's process can't map is memory that it can't read. */
static int check_shared(const struct user_args *user, struct slice id, char *err)
{
	for (unsigned i = 0; i < user->backend_count; i++) {
		const struct backend *backend = &user->backends[i];
		if (backend->id.text != NULL && slice_equal(backend->id, id)) {
			return backend->shared ? 0
					       : fail(err,
						      "the guest's memory '%.*s' is not shared: "
						      "add share=on "
						      "to its -object",
						      (int)id.len, id.text);
		}
	}
	if (user->hidden_objects) {
		return 0; /* in the file or the JSON; QEMU tells when it is nowhere */
	}
	return fail(err,
		    "the guest's memory '%.*s' is in no -object: add -object "
		    "memory-backend-memfd,id=%.*s,size=SIZE,share=on",
		    (int)id.len, id.text, (int)id.len, id.text);
}

static int add(struct hr_qemu_args *args, const char *option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int add(struct hr_qemu_args *args, const char *option, const char *fmt, ...)
{
	char *name = strdup(option), *value = NULL;
	va_list ap;
	va_start(ap, fmt);
	int ret = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (name == NULL || ret < 0) {
		free(name);
		return -ENOMEM;
	}
	args->args[args->count++] = name;
	args->args[args->count++] = value;
	return 0;
}

static int add_memory(struct hr_qemu_args *args, const struct user_args *user, char *err)
{
	bool own = user->machine_memory.text != NULL;
	int ret = own ? check_shared(user, user->machine_memory, err) : 0;
	for (unsigned i = 0; i < user->memdev_count && ret == 0; i++) {
		ret = check_shared(user, user->memdevs[i], err);
	}
	if (ret == 0 && user->numa && user->memdev_count == 0) {
		ret = fail(err, "-numa node needs memory that is shared: add -object "
				"memory-backend-memfd,id=ID,size=SIZE,share=on and memdev=ID");
	}
	if (ret < 0 || own || user->numa) {
		return ret;
	}
	if (user->memory.text == NULL && user->hidden_memory) {
		return fail(err, "the guest's memory size is not on the command line: add -m SIZE");
	}
	uint64_t bytes = user->memory.text != NULL ? memory_bytes(user->memory, user->memory_unit)
						   : DEFAULT_MEMORY;
	if (bytes == 0) {
		return fail(err, "'%.*s' is not a memory size: write it like -m 4G",
			    (int)user->memory.len, user->memory.text);
	}
	ret = bytes % (1u << 20) == 0
		      ? add(args, "-object",
			    "memory-backend-memfd,id=" MEMORY_ID ",size=%lluM,share=on",
			    (unsigned long long)bytes >> 20)
		      : add(args, "-object",
			    "memory-backend-memfd,id=" MEMORY_ID ",size=%llu,share=on",
			    (unsigned long long)bytes);
	return ret < 0 ? ret : add(args, "-machine", "memory-backend=" MEMORY_ID);
}

/* On microvm without PCI the device is a virtio-mmio one: modern, for Linux's driver takes no other. */
static int add_device(struct hr_qemu_args *args, const struct user_args *user,
		      const char *connection)
{
	bool mmio = slice_is(user->machine, "microvm") && !user->pcie;
	int ret = add(args, "-chardev", "socket,id=causeway,%s", connection);
	if (ret == 0 && mmio) {
		args->warning = "virtio-mmio has no window into the host's memory, so pixels are "
				"copied once more: -machine microvm,pcie=on has one";
		ret = add(args, "-global", "virtio-mmio.force-legacy=false");
	}
	return ret < 0 ? ret : add(args, "-device", DEVICE_JSON, mmio ? DEVICE : DEVICE "-pci");
}

int hr_qemu_args_find(char *const *user_argv, const char *connection, struct hr_qemu_args *ret_args,
		      char err[HR_QEMU_ERROR_BYTES])
{
	struct user_args user = {0};
	struct hr_qemu_args args = {0};
	read_args(&user, user_argv);
	if (user.refused != NULL) {
		return fail(err, "%s", user.refused);
	}
	if (user.too_many) {
		return fail(err, "there are more than %d memory backends", MAX_NAMED);
	}
	int ret = add_memory(&args, &user, err);
	if (ret == 0) {
		ret = add_device(&args, &user, connection);
	}
	if (ret < 0) {
		hr_qemu_args_finish(&args);
		return ret;
	}
	*ret_args = args;
	return 0;
}

char *hr_qemu_path_property(const char *path)
{
	static const char name[] = "path=";
	char *text = malloc(sizeof(name) + 2 * strlen(path));
	if (text == NULL) {
		return NULL;
	}
	char *at = stpcpy(text, name);
	for (; *path != '\0'; path++) {
		if (*path == ',') {
			*at++ = ',';
		}
		*at++ = *path;
	}
	*at = '\0';
	return text;
}

static bool is_plain(const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_=,./:+@%";
	return arg[0] != '\0' && arg[strspn(arg, plain)] == '\0';
}

static void print_quoted(FILE *out, const char *arg)
{
	if (is_plain(arg)) {
		(void)fputs(arg, out);
		return;
	}
	(void)fputc('\'', out);
	for (; *arg != '\0'; arg++) {
		if (*arg == '\'') {
			(void)fputs("'\\''", out);
		} else {
			(void)fputc(*arg, out);
		}
	}
	(void)fputc('\'', out);
}

char *hr_qemu_args_quote(char *const *args)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (out == NULL) {
		return NULL;
	}
	for (size_t i = 0; args[i] != NULL; i++) {
		if (i > 0) {
			(void)fputc(' ', out);
		}
		print_quoted(out, args[i]);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void hr_qemu_args_finish(struct hr_qemu_args *args)
{
	for (size_t i = 0; i < args->count; i++) {
		free(args->args[i]);
	}
	*args = (struct hr_qemu_args){0};
}

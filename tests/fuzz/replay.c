/* SPDX-License-Identifier: MIT
 *
 * Run a fuzz target over a corpus without libFuzzer: replay FILE_OR_FOLDER...
 * An input also runs cut at 16 places and with 64 of its bits turned, so that the seeds test more than
 * themselves in any build.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_INPUT_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

/* From memory of exactly this size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	if (copy == NULL) {
		abort();
	}
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t data[MAX_INPUT_BYTES];
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return 1;
	}
	size_t size = fread(data, 1, sizeof(data), file);
	(void)fclose(file);
	run(data, size);
	for (size_t i = 0; i < 16; i++) {
		run(data, size * i / 16);
	}
	for (size_t i = 0; i < 64 && size > 0; i++) {
		size_t at = size * i / 64;
		data[at] ^= (uint8_t)(1u << (i * 5 & 7));
		run(data, size);
		data[at] ^= (uint8_t)(1u << (i * 5 & 7));
	}
	inputs++;
	return 0;
}

static int run_path(const char *path)
{
	struct stat st;
	int failed = 0;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		return run_file(path);
	}
	DIR *dir = opendir(path);
	if (dir == NULL) {
		perror(path);
		return 1;
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char file[4096];
		if (entry->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
			failed |= run_file(file);
		}
	}
	closedir(dir);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		failed |= run_path(argv[i]);
	}
	printf("%lu inputs\n", inputs);
	return failed || inputs == 0;
}

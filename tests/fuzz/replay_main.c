/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target once on each file named, or lying in a directory named, so that the corpus is
 * a test on any compiler. Finding no file is a failure, so is one that cannot be read.
 *
 * usage: fuzz_NAME FILE|DIRECTORY...
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target may set itself up before the first input. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int fail(const char *path)
{
    perror(path);
    return -1;
}

/* The number of files run, -1 on failure. */
static int replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1); /* exact, so that sanitizers see an overrun */
    if (f == NULL || data == NULL || fread(data, 1, size, f) != size) {
        if (f != NULL) {
            fclose(f);
        }
        free(data);
        return fail(path);
    }
    fclose(f);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return fail(path);
    }
    return S_ISREG(st.st_mode) ? replay_file(path, (size_t)st.st_size) : 0;
}

/* The files of one directory; what lies in directories below is not looked at. */
static int replay_directory(const char *path)
{
    struct dirent **entries;
    int n_entries = scandir(path, &entries, NULL, alphasort);
    int total = 0;
    if (n_entries < 0) {
        return fail(path);
    }
    for (int i = 0; i < n_entries; i++) {
        char name[PATH_SIZE];
        int len = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        int n = len < 0 || (size_t)len >= sizeof(name) ? -1 : replay_path(name);
        total = n < 0 || total < 0 ? -1 : total + n;
        free(entries[i]);
    }
    free(entries);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;
    if (LLVMFuzzerInitialize != NULL && LLVMFuzzerInitialize(&argc, &argv) != 0) {
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int is_dir = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        int n = is_dir ? replay_directory(argv[i]) : replay_path(argv[i]);
        if (n < 0) {
            return 1;
        }
        total += n;
    }
    if (total == 0) {
        fprintf(stderr, "%s: found no input; usage: fuzz_NAME FILE|DIRECTORY...\n", argv[0]);
        return 1;
    }
    printf("%d inputs replayed\n", total);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_scratch.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_root[SCRATCH_PATH_MAX - 24];

/* Removes a folder and all below it; links are removed, never followed. */
static void remove_tree(char *path)
{
    char *paths[] = {path, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (fts == NULL) {
        return;
    }
    for (FTSENT *e = fts_read(fts); e != NULL; e = fts_read(fts)) {
        if (e->fts_info == FTS_DNR) { /* the task closed it to itself */
            (void)!chmod(e->fts_accpath, 0700);
        }
        if (e->fts_info != FTS_D) {
            (void)!remove(e->fts_accpath);
        }
    }
    fts_close(fts);
}

static uint64_t home_number(const char *home)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a: a name, not a secret */
    for (const char *p = home; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    }
    return h;
}

int scratch_init(const char *home, bool is_root)
{
    struct stat st;
    int len = is_root ? snprintf(scratch_root, sizeof(scratch_root), "/var/tmp/ipx-%016llx",
                                 (unsigned long long)home_number(home))
                      : snprintf(scratch_root, sizeof(scratch_root), "%s/scratch", home);
    if (len < 0 || (size_t)len >= sizeof(scratch_root)) {
        return ENAMETOOLONG;
    }
    if (lstat(scratch_root, &st) == 0) {
        if (st.st_uid != geteuid()) {
            return EPERM; /* somebody else's: /var/tmp is everybody's */
        }
        remove_tree(scratch_root);
    }
    if (mkdir(scratch_root, is_root ? 0711 : 0700) != 0) {
        return errno;
    }
    return chmod(scratch_root, is_root ? 0711 : 0700) == 0 ? 0 : errno;
}

static void path_of(uint64_t attempt, char out[static SCRATCH_PATH_MAX])
{
    snprintf(out, SCRATCH_PATH_MAX, "%s/%llx", scratch_root, (unsigned long long)attempt);
}

int scratch_make(uint64_t attempt, uid_t uid, char ret_path[static SCRATCH_PATH_MAX])
{
    path_of(attempt, ret_path);
    if (mkdir(ret_path, 0700) != 0) {
        return errno;
    }
    if (uid != (uid_t)-1 && chown(ret_path, uid, uid) != 0) {
        int err = errno;
        rmdir(ret_path);
        return err;
    }
    return 0;
}

void scratch_remove(uint64_t attempt)
{
    char path[SCRATCH_PATH_MAX];
    path_of(attempt, path);
    if (rmdir(path) != 0 && errno == ENOTEMPTY) {
        remove_tree(path);
    }
}

void scratch_done(void)
{
    if (scratch_root[0] != '\0') {
        remove_tree(scratch_root);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t read_file(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    if (n >= 0) {
        out[n] = '\0';
    }
    return n;
}

/* "pid (comm) S ppid ..": comm may hold anything, so what follows its last bracket counts. */
static pid_t read_stat(pid_t pid, char *ret_state)
{
    char text[512];
    if (read_file(pid, "stat", text, sizeof(text)) <= 0) {
        return -1;
    }
    const char *end = strrchr(text, ')');
    if (end == NULL || end[1] != ' ' || end[2] == '\0' || end[3] != ' ') {
        return -1;
    }
    *ret_state = end[2];
    return (pid_t)strtol(end + 4, NULL, 10);
}

pid_t proc_parent(pid_t pid)
{
    char state;
    return read_stat(pid, &state);
}

size_t proc_each_child(pid_t parent, proc_child_fn *each, void *user)
{
    DIR *dir = opendir("/proc");
    size_t n = 0;
    if (dir == NULL) {
        return 0;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char state, *end;
        long pid = strtol(e->d_name, &end, 10);
        if (pid <= 1 || *end != '\0' || read_stat((pid_t)pid, &state) != parent || state == 'Z') {
            continue;
        }
        each(user, (pid_t)pid);
        n++;
    }
    closedir(dir);
    return n;
}

bool proc_has_env(pid_t pid, const char *assignment)
{
    static char text[256 * 1024]; /* one thread; a longer environment hides its end */
    ssize_t n = read_file(pid, "environ", text, sizeof(text));
    size_t len = strlen(assignment);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(text + at) + 1) {
        if (strncmp(text + at, assignment, len + 1) == 0) {
            return true;
        }
    }
    return false;
}

uid_t proc_uid(pid_t pid)
{
    char path[32];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    return stat(path, &st) == 0 ? st.st_uid : (uid_t)-1;
}

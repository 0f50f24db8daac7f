/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char log_path[128]; /* "": stderr is not ours to rotate */

static bool open_log(void)
{
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool is_ok = dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0;
    close(fd);
    return is_ok;
}

void log_rotate(void)
{
    struct stat st;
    char old[sizeof(log_path) + 2];
    if (log_path[0] == '\0' || fstat(STDERR_FILENO, &st) != 0 || st.st_size < LOG_FILE_MAX) {
        return;
    }
    snprintf(old, sizeof(old), "%s.1", log_path);
    if (rename(log_path, old) == 0) {
        (void)open_log(); /* the old file goes on taking lines if it fails */
    }
}

bool log_to_home(const char *home)
{
    snprintf(log_path, sizeof(log_path), "%s/node.log", home);
    if (!open_log()) {
        log_path[0] = '\0';
        return false;
    }
    log_rotate();
    return true;
}

static size_t put_time(char *out, size_t size)
{
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    size_t len = strftime(out, size, "ts=%Y-%m-%dT%H:%M:%S", &tm);
    return len + (size_t)snprintf(out + len, size - len, ".%03ldZ", t.tv_nsec / 1000000);
}

void log_line(const char *level, const char *event, const char *format, ...)
{
    char text[1024];
    va_list args;
    size_t len = put_time(text, sizeof(text));
    len +=
        (size_t)snprintf(text + len, sizeof(text) - len, " level=%s event=\"%s\" ", level, event);
    va_start(args, format);
    int n = vsnprintf(text + len, sizeof(text) - len - 1, format, args);
    va_end(args);
    len = IPX_MIN(len + (size_t)IPX_MAX(n, 0), sizeof(text) - 2);
    text[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, text, len); /* a full disk stops no node */
    (void)ignored;
}

static const char *const module_names[] = {"node",   "session", "link",  "dht",
                                           "gossip", "exec",    "source"};

void log_trace(void *user, const struct trace_record *r)
{
    static int is_debug = -1;
    char peer[ID_SHORT_LEN + 1] = "-";
    (void)user;
    if (is_debug < 0) {
        const char *level = getenv("IPX_LOG");
        is_debug = level != NULL && strcmp(level, "debug") == 0;
    }
    if (!is_debug && r->module != TRACE_NODE) {
        return;
    }
    if (r->peer != NULL) {
        node_id_short(r->peer, peer);
    }
    log_line(r->module == TRACE_NODE ? "info" : "debug", r->event,
             "module=%s peer=%s a=%llu b=%llu", module_names[r->module], peer,
             (unsigned long long)r->a, (unsigned long long)r->b);
}

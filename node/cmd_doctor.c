/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what a node needs, tested, with the command that repairs it. */
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/version.h>
#include <netinet/in.h>
#include <sched.h>
#include <sodium.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/addr.h"
#include "node/cmd.h"
#include "node/uv_shell.h"

#define MIB (UINT64_C(1) << 20)
#define DISK_WARN (UINT64_C(1) << 30) /* as much as the spool may take */
#define DISK_LEAST (64 * MIB)
#define FILES_LEAST 4096 /* a few a task, one or two a peer */
#define PROCESSES_LEAST 256
#define PINGS_MAX 8 /* members asked; a silent one costs 5 s */
#define SILENT_S 60
#define CERT_WARN_MS (INT64_C(24) * 3600 * 1000)

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_BROKEN };

struct doctor {
    struct cmd *c;
    bool has_broken, is_up;
    char name[64], listen[512];
    bool has_heard;
    double heard_s;
    int64_t cert_until_ms;
    char members[PINGS_MAX][64];
    size_t n_members;
};

static void tell(struct doctor *d, const char *check, enum health state, const char *repair,
                 const char *format, ...) IPX_PRINTF(5, 6);

static void tell(struct doctor *d, const char *check, enum health state, const char *repair,
                 const char *format, ...)
{
    static const char *const names[] = {"ok", "warn", "broken"};
    char value[600], line[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    repair = state == HEALTH_OK ? "" : repair;
    d->has_broken = d->has_broken || state == HEALTH_BROKEN;
    if (d->c->out.json) {
        json_t *object = out_object();
        json_object_set_new(object, "check", json_string(check));
        json_object_set_new(object, "state", json_string(names[state]));
        json_object_set_new(object, "value", out_json_text(slice_text(value)));
        json_object_set_new(object, "repair", out_json_text(slice_text(repair)));
        out_json(&d->c->out, object);
        return;
    }
    snprintf(line, sizeof(line),
             d->c->out.is_tty_out ? "%-6s  %-11s  %s%s%s\n" : "%s\t%s\t%s%s%s\n", names[state],
             check, value,
             repair[0] == '\0'      ? ""
             : d->c->out.is_tty_out ? "\n                       -> "
                                    : "\t",
             repair);
    out_text(&d->c->out, line);
}

/* --- the node --- */

static void check_home(struct doctor *d)
{
    struct stat st, key;
    char path[HOME_PATH_MAX + 8], repair[HOME_PATH_MAX + 32];
    const char *home = d->c->home;
    snprintf(path, sizeof(path), "%s/key", home);
    if (!os_home_exists(home) || stat(home, &st) != 0) {
        tell(d, "home", HEALTH_BROKEN, "ipx-node new NAME, or ipx-node join TICKET",
             "%s: there is no node", home);
    } else if (st.st_uid != geteuid() && geteuid() != 0) {
        snprintf(repair, sizeof(repair), "sudo chown -R %u %s", (unsigned)geteuid(), home);
        tell(d, "home", HEALTH_BROKEN, repair, "%s belongs to user %u", home, (unsigned)st.st_uid);
    } else if ((st.st_mode & 077) != 0) {
        snprintf(repair, sizeof(repair), "chmod 700 %s", home);
        tell(d, "home", HEALTH_BROKEN, repair, "%s: mode %o, others see into it", home,
             (unsigned)st.st_mode & 07777);
    } else if (stat(path, &key) != 0) {
        tell(d, "home", HEALTH_BROKEN, "ipx-node join --home DIR TICKET", "%s is missing", path);
    } else if ((key.st_mode & 077) != 0) {
        snprintf(repair, sizeof(repair), "chmod 600 %s", path);
        tell(d, "home", HEALTH_BROKEN, repair, "%s: mode %o, others can read it", path,
             (unsigned)key.st_mode & 07777);
    } else {
        tell(d, "home", HEALTH_OK, "", "%s, mode %o", home, (unsigned)st.st_mode & 07777);
    }
}

static void take_status(void *user, const struct out_row *r)
{
    struct doctor *d = user;
    char name[40], lab[20];
    const struct out_field *heard = out_row_find(r, "heard_s");
    out_clean(out_row_text(r, "name"), name, sizeof(name));
    out_clean(out_row_text(r, "lab"), lab, sizeof(lab));
    snprintf(d->name, sizeof(d->name), "%s/%s", lab, name);
    out_clean(out_row_text(r, "listen"), d->listen, sizeof(d->listen));
    d->has_heard = heard != NULL && heard->type == OUT_DOUBLE;
    d->heard_s = out_row_double(r, "heard_s");
    d->cert_until_ms = (int64_t)out_row_u64(r, "cert_until_ms");
}

static void check_daemon(struct doctor *d)
{
    int pid = os_home_pid(d->c->home);
    if (pid == 0) {
        tell(d, "daemon", HEALTH_BROKEN,
             os_home_exists(d->c->home) ? "ipx-node up" : "ipx-node new NAME", "not running");
        return;
    }
    uint64_t began = local_now_us();
    d->is_up = cmd_request(d->c, &(struct cmd_request){.command = CONTROL_STATUS,
                                                       .is_quiet = true,
                                                       .each = take_status,
                                                       .user = d}) == 0;
    if (d->is_up) {
        tell(d, "daemon", HEALTH_OK, "", "%s, process %d, answered in %.1f ms", d->name, pid,
             (double)(local_now_us() - began) / 1000);
    } else {
        tell(d, "daemon", HEALTH_BROKEN, "ipx-node down, then ipx-node up",
             "process %d holds the home but does not answer", pid);
    }
}

static bool try_socket(const struct addr *a, int type, bool is_connect)
{
    struct sockaddr_storage sa;
    socklen_t len = a->family == ADDR_V4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    addr_to_sockaddr(a, &sa);
    int fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_ok = (is_connect ? connect(fd, (const struct sockaddr *)&sa, len)
                             : bind(fd, (const struct sockaddr *)&sa, len)) == 0;
    close(fd);
    return is_ok;
}

/* Running: each address told to others takes a connection. Else: the port to be is free. */
static void check_ports(struct doctor *d)
{
    char text[512], *save = NULL;
    struct addr a;
    unsigned n = 0, n_ok = 0;
    snprintf(text, sizeof(text), "%s", d->listen);
    for (char *one = strtok_r(text, " ", &save); one != NULL; one = strtok_r(NULL, " ", &save)) {
        n++;
        n_ok += addr_parse(slice_text(one), NODE_PORT_DEFAULT, &a) == IPX_OK &&
                try_socket(&a, SOCK_STREAM, true);
    }
    if (d->is_up) {
        tell(d, "ports", n > 0 && n_ok == n ? HEALTH_OK : HEALTH_BROKEN,
             "ipx-node down, then ipx-node up --listen IP:PORT",
             "%u of %u addresses take links: %s", n_ok, n, d->listen);
        return;
    }
    if (!os_home_listen(d->c->home, text, sizeof(text)) ||
        addr_parse(slice_text(text), NODE_PORT_DEFAULT, &a) != IPX_OK) {
        snprintf(text, sizeof(text), "0.0.0.0");
        a = (struct addr){.family = ADDR_V4, .port = NODE_PORT_DEFAULT};
    }
    bool is_free = try_socket(&a, SOCK_DGRAM, false) && try_socket(&a, SOCK_STREAM, false);
    tell(d, "ports", is_free ? HEALTH_OK : HEALTH_WARN, "ipx-node up --listen IP:PORT",
         is_free ? "%s port %u is free for UDP and TCP" : "%s port %u is taken: the next is tried",
         text, a.port);
}

static void take_member(void *user, const struct out_row *r)
{
    struct doctor *d = user;
    struct slice state = out_row_text(r, "state");
    if (d->n_members < PINGS_MAX &&
        (slice_equal(state, slice_text("alive")) || slice_equal(state, slice_text("suspect")))) {
        out_clean(out_row_text(r, "node"), d->members[d->n_members++], sizeof(d->members[0]));
    }
}

static void check_members(struct doctor *d)
{
    size_t n_ok = 0;
    if (!d->is_up) {
        return;
    }
    (void)cmd_request(
        d->c, &(struct cmd_request){
                  .command = CONTROL_PEERS, .is_quiet = true, .each = take_member, .user = d});
    for (size_t i = 0; i < d->n_members; i++) {
        n_ok += cmd_request(d->c, &(struct cmd_request){.command = CONTROL_PING,
                                                        .args = {d->members[i]},
                                                        .n_args = 1,
                                                        .is_quiet = true}) == 0;
    }
    if (d->n_members == 0) {
        tell(d, "members", HEALTH_WARN, "ipx-node invite",
             "alone: no other living member is known");
    } else {
        tell(d, "members",
             n_ok == d->n_members ? HEALTH_OK
             : n_ok > 0           ? HEALTH_WARN
                                  : HEALTH_BROKEN,
             "allow UDP to and from the addresses of ipx-node peers", "%zu of %zu answer by UDP",
             n_ok, d->n_members);
    }
    if (!d->has_heard) {
        tell(d, "gossip", d->n_members > 0 ? HEALTH_BROKEN : HEALTH_WARN, "ipx-node invite",
             "nobody was heard yet");
    } else {
        tell(d, "gossip", d->heard_s < SILENT_S ? HEALTH_OK : HEALTH_WARN, "ipx-node peers",
             "last heard %.1f s ago", d->heard_s);
    }
}

static void check_certificate(struct doctor *d)
{
    char span[32];
    int64_t left_ms = d->cert_until_ms - shell_wall_ms();
    if (!d->is_up) {
        return;
    }
    out_duration((double)(left_ms < 0 ? -left_ms : left_ms) / 1000, span, sizeof(span));
    tell(d, "certificate",
         left_ms <= 0             ? HEALTH_BROKEN
         : left_ms < CERT_WARN_MS ? HEALTH_WARN
                                  : HEALTH_OK,
         left_ms <= 0 ? "ipx-node leave, then ipx-node join TICKET"
                      : "bring a node that holds an issuer key up: it is renewed there",
         left_ms <= 0 ? "ended %s ago" : "good for another %s", span);
}

/* A task of our own on this very node takes the whole way through the spawner. */
static void check_spawner(struct doctor *d)
{
    const char *const argv[] = {"ipx-node", "run",   "--home", d->c->home,  "-q", "--no-wait",
                                "--on",     d->name, "--",     "/bin/true", NULL};
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status = 0;
    if (!d->is_up) {
        return;
    }
    posix_spawn_file_actions_init(&files);
    for (int fd = 0; fd < 3; fd++) {
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    }
    uint64_t began = local_now_us();
    int err =
        posix_spawn(&pid, "/proc/self/exe", &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (err != 0 || waitpid(pid, &status, 0) != pid) {
        tell(d, "spawner", HEALTH_BROKEN, "ulimit -u", "no process can be started: %s",
             strerror(err != 0 ? err : errno));
        return;
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 125;
    if (code == 0) {
        tell(d, "spawner", HEALTH_OK, "", "/bin/true ran as a task in %.0f ms",
             (double)(local_now_us() - began) / 1000);
    } else if (code == 120 || code == 121 || code == 122) {
        tell(d, "spawner", HEALTH_WARN, "ipx-node policy set 'accept=job.lab == lab'",
             "not tested: this node took no task (%s)",
             code == 121 ? "its policy" : "no slot is free");
    } else {
        tell(d, "spawner", HEALTH_BROKEN, "ipx-node down, then ipx-node up; see node.log",
             "/bin/true as a task ended with %d", code);
    }
}

/* --- the machine --- */

static void check_clock(struct doctor *d)
{
    struct timex t = {.modes = 0};
    int state = adjtimex(&t);
    if (shell_wall_ms() < INT64_C(1700000000000)) {
        tell(d, "clock", HEALTH_BROKEN, "date -s TIME", "it stands before 2023");
    } else if (state < 0 || state == TIME_ERROR) {
        tell(d, "clock", HEALTH_WARN, "timedatectl set-ntp true",
             "nothing keeps it right; tickets and certificates want it within 10 min");
    } else {
        tell(d, "clock", HEALTH_OK, "", "kept by the system, within %.0f ms",
             (double)t.maxerror / 1000);
    }
}

static void check_entropy(struct doctor *d)
{
    uint8_t bytes[32];
    bool is_ok = getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) == (ssize_t)sizeof(bytes);
    tell(d, "entropy", is_ok ? HEALTH_OK : HEALTH_BROKEN, "apt-get install rng-tools",
         is_ok ? "the kernel has enough" : "the kernel has none yet");
}

static void check_disk(struct doctor *d)
{
    struct statvfs s;
    const char *path = access(d->c->home, F_OK) == 0 ? d->c->home : "/var/tmp";
    if (statvfs(path, &s) != 0) {
        tell(d, "disk", HEALTH_BROKEN, "ipx-node --home DIR", "%s: %s", path, strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)s.f_bavail * s.f_frsize;
    tell(d, "disk",
         left < DISK_LEAST  ? HEALTH_BROKEN
         : left < DISK_WARN ? HEALTH_WARN
                            : HEALTH_OK,
         "delete files there, or choose another home: --home DIR",
         "%llu MiB free for results at %s", (unsigned long long)(left / MIB), path);
}

static void check_limit(struct doctor *d, const char *check, int what, rlim_t least,
                        const char *repair)
{
    struct rlimit l;
    if (getrlimit((__rlimit_resource_t)what, &l) != 0) {
        tell(d, check, HEALTH_WARN, repair, "cannot be read: %s", strerror(errno));
    } else if (l.rlim_max == RLIM_INFINITY) {
        tell(d, check, HEALTH_OK, "", "no limit");
    } else {
        tell(d, check, l.rlim_max < least ? HEALTH_WARN : HEALTH_OK, repair, "at most %llu",
             (unsigned long long)l.rlim_max);
    }
}

static void check_namespaces(struct doctor *d)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) == 0 ? 0 : errno);
    }
    bool is_ok = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
    int err = is_ok ? WEXITSTATUS(status) : EAGAIN;
    tell(d, "namespaces", err == 0 ? HEALTH_OK : HEALTH_WARN,
         "sudo sysctl kernel.unprivileged_userns_clone=1",
         err == 0 ? "user, mount and process namespaces%s%s" : "not to be had%s%s",
         err == 0 ? "" : ": ", err == 0 ? "" : strerror(err));
}

int cmd_doctor(struct cmd *c)
{
    struct doctor d = {.c = c};
    check_home(&d);
    check_daemon(&d);
    check_ports(&d);
    check_members(&d);
    check_certificate(&d);
    check_spawner(&d);
    check_clock(&d);
    check_entropy(&d);
    check_disk(&d);
    check_limit(&d, "files", RLIMIT_NOFILE, FILES_LEAST, "ulimit -Hn 65536, as root");
    check_limit(&d, "processes", RLIMIT_NPROC, PROCESSES_LEAST, "ulimit -Hu 4096, as root");
    check_namespaces(&d);
    tell(&d, "libraries", HEALTH_OK, "", "libsodium %s, libuv %s, mbedTLS %s, jansson %s",
         sodium_version_string(), uv_version_string(), MBEDTLS_VERSION_STRING, JANSSON_VERSION);
    return d.has_broken ? OUT_FAILED : OUT_OK;
}

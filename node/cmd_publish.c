/* SPDX-License-Identifier: Apache-2.0 */
/* publish: live data from stdin, a command or a growing file. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/label.h"
#include "node/cmd_exec.h"
#include "node/cmd_frames.h"
#include "node/os_keeper.h"

#define CHUNK 65536
#define BACKOFF_MIN_US (200 * US_PER_MS)
#define BACKOFF_MAX_US (30 * US_PER_S)
#define STEADY_US (10 * US_PER_S) /* a command that ran so long starts again without delay */

struct publishing {
    struct cmd *c;
    struct client client;
    struct frames frames;
    const char *name, *file;
    char **argv; /* the command; NULL: none */
    int fd;      /* read from; -1: none now */
    int signal_fd, watch_fd;
    struct keeper keeper;
    uint64_t started_us, restart_us, backoff_us;
    struct stat opened; /* of the file that is read */
    bool is_published, is_over;
    int exit_code;
    uint8_t chunk[CHUNK];
};

/* --- what is published --- */

static bool quantity(const char *text, int bytes, int seconds, double *ret)
{
    struct label_scratch scratch;
    struct label_value v;
    if (label_value_parse(slice_text(text), &scratch, &v) != IPX_OK || v.type != LABEL_NUMBER ||
        v.dim.bytes != bytes || v.dim.seconds != seconds || v.number <= 0) {
        return false;
    }
    *ret = v.number;
    return true;
}

static int read_framing(struct publishing *p, struct source_publish *m)
{
    const char *text = args_text(&p->c->args, FLAG_FRAME);
    double size = 0;
    m->framing = SOURCE_FRAMING_LINES;
    if (text == NULL || strcmp(text, "lines") == 0) {
        return 0;
    }
    if (strcmp(text, "len") == 0) {
        m->framing = SOURCE_FRAMING_LENGTH;
        return 0;
    }
    bool is_size = quantity(text, 1, 0, &size) || quantity(text, 0, 0, &size); /* or plain bytes */
    if (!is_size || size < 1 || size > SOURCE_FRAME_MAX) {
        return cmd_usage(p->c, "--frame is lines, len, or a size of at most 192KiB",
                         "Example: --frame 64KiB");
    }
    m->framing = SOURCE_FRAMING_SIZE;
    m->frame_size = (uint32_t)size;
    m->size = m->frame_size;
    return 0;
}

static int read_ring(struct publishing *p, struct source_publish *m)
{
    const char *text = args_text(&p->c->args, FLAG_RING);
    double v;
    if (text == NULL) {
        return 0;
    }
    if (quantity(text, 1, 0, &v)) {
        m->ring_bytes = (uint64_t)v;
    } else if (quantity(text, 0, 1, &v)) {
        m->ring_age_us = (uint64_t)(v * 1e6);
    } else {
        return cmd_usage(p->c, "--ring is a time or a size", "Example: --ring 10min, --ring 16MiB");
    }
    return 0;
}

static struct slice text_flag(const struct cmd *c, enum flag_id id)
{
    const char *text = args_text(&c->args, id);
    return text != NULL ? slice_text(text) : SLICE_EMPTY;
}

static int send_publish(struct publishing *p, const struct source_publish *plan)
{
    struct source_publish m = *plan;
    uint8_t labels[2048], body[8192];
    struct writer l = writer_of(labels, sizeof(labels)), w = writer_of(body, sizeof(body));
    const char *one;
    while (args_nth(&p->c->args, FLAG_LABEL, m.labels.n) != NULL) {
        m.labels.n++;
    }
    cbor_put_array(&l, m.labels.n);
    for (size_t i = 0; (one = args_nth(&p->c->args, FLAG_LABEL, i)) != NULL; i++) {
        cbor_put_bytes(&l, slice_text(one));
        m.labels.bytes += (uint32_t)strlen(one);
    }
    m.labels.raw = writer_slice(&l);
    source_publish_encode(&m, &w);
    if (l.failed || w.failed || m.labels.n > SOURCE_LABELS_MAX) {
        return cmd_usage(p->c, "too many labels, or too long", "8 labels of 1 KiB are the limit");
    }
    return local_send(&p->client, SOURCE_MSG_PUBLISH, writer_slice(&w))
               ? 0
               : cmd_lost(p->c, OUT_FAILED);
}

/* --- where the bytes come from --- */

static void begin_command(struct publishing *p)
{
    enum ipx_err err = keeper_start(p->argv, &p->keeper);
    p->started_us = local_now_us();
    p->restart_us = NEVER_US;
    if (err == IPX_OK) {
        fcntl(p->keeper.fd, F_SETFL, O_NONBLOCK);
        p->fd = p->keeper.fd;
    } else {
        p->restart_us = p->started_us + p->backoff_us;
    }
}

/* It ended: once more, after a while that doubles each time it ends soon. */
static void command_ended(struct publishing *p)
{
    uint64_t now = local_now_us();
    char span[32];
    int code = keeper_stop(&p->keeper);
    p->fd = -1;
    bool was_steady = now - p->started_us >= STEADY_US;
    p->backoff_us = was_steady ? BACKOFF_MIN_US : IPX_MIN(2 * p->backoff_us, BACKOFF_MAX_US);
    p->restart_us = now + p->backoff_us;
    frames_restart(&p->frames);
    out_duration((double)p->backoff_us / 1e6, span, sizeof(span));
    out_note(&p->c->out, "%s ended with %d: starting it again in %s", p->argv[0], code, span);
}

static void open_file(struct publishing *p)
{
    int fd = open(p->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &p->opened) == 0) {
        if (p->fd >= 0) {
            close(p->fd);
        }
        p->fd = fd;
    }
}

/* The folder is watched, so that a file that is replaced is seen too. */
static int watch_file(struct publishing *p)
{
    char folder[4096], why[300];
    snprintf(folder, sizeof(folder), "%s", p->file);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof(folder), ".");
    } else {
        slash[slash == folder] = '\0';
    }
    p->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (p->watch_fd < 0 ||
        inotify_add_watch(p->watch_fd, folder,
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ATTRIB) < 0) {
        snprintf(why, sizeof(why), "%.200s: %s", folder, strerror(errno));
        return cmd_fail(p->c, OUT_FAILED, IPX_IO, "the file cannot be watched", why, NULL);
    }
    open_file(p);
    if (p->fd < 0) {
        out_note(&p->c->out, "%s is not there yet: waiting for it", p->file);
    }
    return 0;
}

static bool read_bytes(struct publishing *p, ssize_t *ret_n)
{
    ssize_t n = read(p->fd, p->chunk, sizeof(p->chunk));
    *ret_n = n;
    return n <= 0 || frames_add(&p->frames, slice_of(p->chunk, (size_t)n));
}

/* At the end of the file: true if there is more after all, truncated from its begin, replaced
 * from that of the new one. */
static bool file_begins_anew(struct publishing *p)
{
    struct stat st;
    if (p->fd >= 0 && fstat(p->fd, &st) == 0 && st.st_size < lseek(p->fd, 0, SEEK_CUR)) {
        lseek(p->fd, 0, SEEK_SET);
        frames_restart(&p->frames);
        return true;
    }
    if (stat(p->file, &st) == 0 &&
        (p->fd < 0 || st.st_ino != p->opened.st_ino || st.st_dev != p->opened.st_dev)) {
        int old = p->fd;
        open_file(p);
        return p->fd != old;
    }
    return false;
}

/* Everything new in the file, while there is room. */
static bool read_file(struct publishing *p)
{
    do {
        ssize_t n = 1;
        while (p->fd >= 0 && frames_has_room(&p->frames) && n > 0) {
            if (!read_bytes(p, &n) || !frames_send(&p->frames)) {
                return false;
            }
        }
        if (n > 0 && p->fd >= 0) {
            return true;
        }
    } while (file_begins_anew(p));
    return true;
}

static bool on_readable(struct publishing *p)
{
    ssize_t n;
    if (!read_bytes(p, &n)) {
        return false;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0 && p->argv != NULL) {
        command_ended(p);
    } else if (n <= 0) {
        p->frames.is_end = true;
        p->fd = -1;
    }
    return frames_send(&p->frames);
}

static bool on_watch(struct publishing *p)
{
    while (read(p->watch_fd, p->chunk, sizeof(p->chunk)) > 0) {
    }
    return read_file(p);
}

/* --- the conversation --- */

static bool begin_source(struct publishing *p)
{
    struct out *o = &p->c->out;
    p->is_published = true;
    p->client.waits_for = NULL;
    if (o->json) {
        json_t *object = out_object();
        json_object_set_new(object, "source", json_string(p->name));
        json_object_set_new(object, "state", json_string("published"));
        out_json(o, object);
    } else {
        out_note(o, "published %s. Read it: %s tap %s", p->name, o->program, p->name);
    }
    if (p->argv != NULL) {
        begin_command(p);
    } else if (p->file != NULL) {
        if ((p->exit_code = watch_file(p)) != 0) {
            p->is_over = true;
            return true;
        }
        return read_file(p);
    } else {
        p->fd = STDIN_FILENO;
    }
    return true;
}

static bool on_message(struct publishing *p, uint8_t type, struct slice body)
{
    if (type == SOURCE_MSG_PUBLISHED) {
        return begin_source(p);
    }
    if (type == SOURCE_MSG_CREDIT) {
        if (source_credit_decode(body, &p->frames.credit) != IPX_OK) {
            return false;
        }
        return p->watch_fd >= 0 ? frames_send(&p->frames) && read_file(p) : frames_send(&p->frames);
    }
    if (type == SOURCE_MSG_ERROR) {
        p->exit_code = exec_fail(p->c, body);
        p->is_over = true;
    }
    return true;
}

/* One turn of sleeping. */
static bool turn(struct publishing *p)
{
    struct pollfd fds[3] = {{.fd = p->signal_fd, .events = POLLIN}};
    size_t n = 1, at_input = 0, at_watch = 0;
    uint64_t now = local_now_us();
    if (p->watch_fd >= 0) {
        at_watch = n;
        fds[n++] = (struct pollfd){.fd = p->watch_fd, .events = POLLIN};
    } else if (p->fd >= 0 && frames_has_room(&p->frames)) {
        at_input = n;
        fds[n++] = (struct pollfd){.fd = p->fd, .events = POLLIN};
    }
    int ms = -1;
    if (p->is_published && p->argv != NULL && p->fd < 0) {
        ms = p->restart_us > now ? (int)((p->restart_us - now) / US_PER_MS) + 1 : 0;
    }
    local_wait(&p->client, fds, n, ms);
    if (fds[0].revents != 0) {
        p->is_over = true;
        return true;
    }
    if (p->is_published && p->argv != NULL && p->fd < 0 && local_now_us() >= p->restart_us) {
        begin_command(p);
    }
    if (at_input > 0 && fds[at_input].revents != 0) {
        return on_readable(p);
    }
    return at_watch == 0 || fds[at_watch].revents == 0 || on_watch(p);
}

static int talk(struct publishing *p)
{
    bool is_ok = true;
    while (is_ok && !p->is_over) {
        uint8_t type;
        struct slice body;
        enum ipx_err err = local_next(&p->client, &type, &body);
        if (err == IPX_OK) {
            is_ok = on_message(p, type, body);
            continue;
        }
        is_ok = err == IPX_AGAIN;
        if (p->frames.is_too_long) {
            return cmd_fail(p->c, OUT_FAILED, IPX_LIMIT, "a frame is longer than 192 KiB", NULL,
                            "Cut it smaller: --frame SIZE");
        }
        bool is_done =
            p->frames.is_end && frames_is_empty(&p->frames) && local_backlog(&p->client) == 0;
        p->is_over = p->is_over || is_done;
        if (is_ok && !p->is_over) {
            is_ok = turn(p);
        }
    }
    return is_ok ? p->exit_code : cmd_lost(p->c, OUT_FAILED);
}

static int take_signals(struct publishing *p)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return p->signal_fd >= 0
               ? 0
               : cmd_fail(p->c, OUT_FAILED, IPX_IO, "cannot start", strerror(errno), NULL);
}

static int run_publish(struct publishing *p, const struct source_publish *m)
{
    int code = cmd_connect(p->c, &p->client, NODE_PROTOCOL_SOURCE_CLIENT);
    if (code != 0) {
        return code;
    }
    p->frames.framing = m->framing;
    p->frames.size = m->frame_size;
    if (frames_init(&p->frames, &p->client, &p->c->mem) != IPX_OK) {
        code = cmd_fail(p->c, OUT_FAILED, IPX_NO_MEMORY, "cannot start", NULL, NULL);
    }
    code = code == 0 ? take_signals(p) : code;
    code = code == 0 ? send_publish(p, m) : code;
    code = code == 0 ? talk(p) : code;
    keeper_stop(&p->keeper);
    frames_done(&p->frames, &p->c->mem);
    local_close(&p->client);
    return code;
}

int cmd_publish(struct cmd *c)
{
    static struct publishing p;
    char **words = c->args.words;
    p = (struct publishing){.c = c,
                            .name = words[0],
                            .file = args_text(&c->args, FLAG_FILE),
                            .argv = c->args.n_words > 1 ? &words[1] : NULL,
                            .fd = -1,
                            .signal_fd = -1,
                            .watch_fd = -1,
                            .backoff_us = BACKOFF_MIN_US / 2,
                            .keeper = {.fd = -1}};
    struct source_publish m = {.name = slice_text(p.name),
                               .kind = text_flag(c, FLAG_KIND),
                               .schema = text_flag(c, FLAG_SCHEMA),
                               .topic = text_flag(c, FLAG_TOPIC),
                               .rate_milli =
                                   (uint64_t)(args_number(&c->args, FLAG_RATE, 0) * 1000)};
    if (p.argv != NULL && p.file != NULL) {
        return cmd_usage(c, "publish reads a command or a --file, not both", NULL);
    }
    if (p.argv == NULL && p.file == NULL && isatty(STDIN_FILENO)) {
        return cmd_usage(c, "publish wants live data: -- CMD, --file PATH, or a pipe on stdin",
                         "See: ipx-node publish --help");
    }
    int code = read_framing(&p, &m);
    code = code == 0 ? read_ring(&p, &m) : code;
    return code == 0 ? run_publish(&p, &m) : code;
}

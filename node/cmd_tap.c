/* SPDX-License-Identifier: Apache-2.0 */
/* tap: reads a live source; what was missed is told. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "exec/exec.h"
#include "exec/source_wire.h"
#include "node/cmd_exec.h"
#include "node/uv_shell.h"
#include "node/when.h"

#define WINDOW_BYTES (UINT64_C(1) << 20)
#define WINDOW_FRAMES UINT64_C(16384)

struct tapping {
    struct cmd *c;
    struct client client;
    struct source_tap m;
    enum source_framing framing;
    char name[SOURCE_TEXT_MAX * 2 + 1]; /* lab/name */
    struct source_credit taken, told;
    int signal_fd, exit_code;
    bool is_over;
};

/* --- what is asked for --- */

static bool read_u64(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return false;
    }
    *ret = v;
    return true;
}

static struct when_here here(void)
{
    struct when_here h = {.now_us = shell_wall_ms() * 1000};
    time_t now = (time_t)(h.now_us / (int64_t)US_PER_S);
    struct tm tm;
    if (localtime_r(&now, &tm) != NULL) {
        h.offset_s = (int32_t)tm.tm_gmtoff;
    }
    return h;
}

/* `time:T` is by the source's clock, `-TIME` by arrival at its node. */
static bool read_time(struct source_tap *m, const char *text)
{
    struct when_here h = here();
    int64_t us;
    bool is_ago = text[0] == '-';
    if (when_parse(slice_text(is_ago ? text : text + 5), &h, &us) != IPX_OK) {
        return false;
    }
    m->from = is_ago ? SOURCE_FROM_AGO : SOURCE_FROM_TIME;
    m->value = (uint64_t)(is_ago ? h.now_us - us : us);
    return true;
}

static bool read_from(struct source_tap *m, const char *text)
{
    m->from = SOURCE_FROM_NEW;
    if (text == NULL || strcmp(text, "new") == 0) {
        return true;
    }
    if (strcmp(text, "all") == 0) {
        m->from = SOURCE_FROM_ALL;
        return true;
    }
    if (strcmp(text, "last") == 0) {
        m->from = SOURCE_FROM_LAST;
        return true;
    }
    if (strncmp(text, "seq:", 4) == 0) {
        m->from = SOURCE_FROM_SEQ;
        return read_u64(text + 4, &m->value);
    }
    return (text[0] == '-' || strncmp(text, "time:", 5) == 0) && read_time(m, text);
}

static bool read_policy(struct source_tap *m, const char *text)
{
    uint64_t n = 0;
    bool is_live = m->from == SOURCE_FROM_NEW || m->from == SOURCE_FROM_LAST;
    /* Who asks for the past wants all of it. */
    m->policy = is_live ? SOURCE_POLICY_DROP_OLD : SOURCE_POLICY_BLOCK;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "block") == 0) {
        m->policy = SOURCE_POLICY_BLOCK;
    } else if (strcmp(text, "drop-old") == 0) {
        m->policy = SOURCE_POLICY_DROP_OLD;
    } else if (strncmp(text, "sample:", 7) == 0 && read_u64(text + 7, &n) && n >= 1 && n <= 1000) {
        m->policy = SOURCE_POLICY_SAMPLE;
        m->sample = (uint32_t)n;
    } else {
        return false;
    }
    return true;
}

/* --- what comes --- */

static bool write_all(struct slice bytes)
{
    return bytes.len == 0 || fwrite(bytes.data, 1, bytes.len, stdout) == bytes.len;
}

static bool put_frame(const struct tapping *t, const struct source_frame *f)
{
    uint8_t head[4];
    store_be32(head, (uint32_t)f->bytes.len);
    return (t->framing != SOURCE_FRAMING_LENGTH || write_all(slice_of(head, 4))) &&
           write_all(f->bytes) &&
           (t->framing != SOURCE_FRAMING_LINES || write_all(slice_of("\n", 1)));
}

static void data_json(struct tapping *t, json_t *object, struct slice bytes)
{
    if (slice_is_utf8(bytes)) {
        json_object_set_new(object, "data", out_json_text(bytes));
        return;
    }
    size_t size = sodium_base64_encoded_len(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    char *text = mem_alloc(&t->c->mem, size);
    if (text != NULL) {
        sodium_bin2base64(text, size, bytes.data, bytes.len, sodium_base64_VARIANT_ORIGINAL);
        json_object_set_new(object, "base64", json_string(text));
        mem_free(&t->c->mem, text);
    }
}

static void frame_json(struct tapping *t, const struct source_frame *f, uint64_t seq,
                       uint64_t epoch)
{
    json_t *object = out_object();
    json_object_set_new(object, "source", json_string(t->name));
    json_object_set_new(object, "epoch", json_integer((json_int_t)epoch));
    json_object_set_new(object, "seq", json_integer((json_int_t)seq));
    out_json_time(object, "time", f->time_us / 1000);
    data_json(t, object, f->bytes);
    out_json(&t->c->out, object);
}

static bool on_frames(struct tapping *t, struct slice body)
{
    struct source_frames m;
    bool is_ok = true;
    if (source_frames_decode(body, &m) != IPX_OK) {
        return false;
    }
    struct cbor_reader it = source_frames_begin(&m);
    for (uint32_t i = 0; i < m.n && is_ok; i++) {
        struct source_frame f = source_frame_next(&it);
        if (t->c->out.json) {
            frame_json(t, &f, m.first + i, m.epoch);
        } else {
            is_ok = put_frame(t, &f);
        }
    }
    t->taken.bytes += m.cost;
    t->taken.frames += m.n;
    if (!is_ok || fflush(stdout) != 0) {
        t->is_over = true; /* nobody reads any more */
    }
    return true;
}

static bool on_gap(struct tapping *t, struct slice body)
{
    struct source_gap g;
    if (source_gap_decode(body, &g) != IPX_OK) {
        return false;
    }
    if (!t->c->out.json) {
        if (g.reason != SOURCE_GAP_SAMPLED) {
            out_note(&t->c->out, "gap: frames %llu to %llu are missing (%s)",
                     (unsigned long long)g.first, (unsigned long long)g.last,
                     source_gap_name(g.reason));
        }
        return true;
    }
    json_t *object = out_object(), *gap = json_object();
    json_object_set_new(gap, "first", json_integer((json_int_t)g.first));
    json_object_set_new(gap, "last", json_integer((json_int_t)g.last));
    json_object_set_new(gap, "reason", json_string(source_gap_name(g.reason)));
    json_object_set_new(object, "source", json_string(t->name));
    json_object_set_new(object, "epoch", json_integer((json_int_t)g.epoch));
    json_object_set_new(object, "gap", gap);
    out_json(&t->c->out, object);
    return true;
}

static bool on_opened(struct tapping *t, struct slice body)
{
    struct source_opened m;
    char name[SOURCE_NAME_MAX + 1], lab[SOURCE_TEXT_MAX + 1], node[SOURCE_TEXT_MAX + 1];
    if (source_opened_decode(body, &m) != IPX_OK) {
        return false;
    }
    t->framing = m.framing;
    t->client.waits_for = NULL;
    out_clean(m.name, name, sizeof(name));
    out_clean(m.lab, lab, sizeof(lab));
    out_clean(m.node, node, sizeof(node));
    snprintf(t->name, sizeof(t->name), "%s%s%s", lab, lab[0] != '\0' ? "/" : "", name);
    if (t->c->out.verbose) {
        out_note(&t->c->out, "reading %s of %s from frame %llu", t->name, node,
                 (unsigned long long)m.next);
    }
    return true;
}

static bool on_end(struct tapping *t, struct slice body)
{
    struct source_end m;
    char what[160];
    if (source_end_decode(body, &m) != IPX_OK) {
        return false;
    }
    t->is_over = true;
    if (m.err == IPX_END || m.err == IPX_OK) {
        out_note(&t->c->out, "the source has ended");
        return true;
    }
    bool is_unknown = m.err == IPX_NOT_FOUND;
    snprintf(what, sizeof(what), is_unknown ? "no source is called \"%.64s\"" : "\"%.64s\" is gone",
             t->c->args.words[0]);
    t->exit_code = cmd_fail(t->c, is_unknown ? OUT_NO_SUCH : OUT_FAILED, (enum ipx_err)m.err, what,
                            is_unknown ? NULL : err_text((enum ipx_err)m.err),
                            "See what there is: ipx-node sources");
    return true;
}

static bool on_message(struct tapping *t, uint8_t type, struct slice body)
{
    switch (type) {
    case SOURCE_MSG_OPENED:
        return on_opened(t, body);
    case SOURCE_MSG_FRAMES:
        return on_frames(t, body);
    case SOURCE_MSG_GAP:
        return on_gap(t, body);
    case SOURCE_MSG_END:
        return on_end(t, body);
    case SOURCE_MSG_ERROR:
        t->is_over = true;
        t->exit_code = exec_fail(t->c, body);
        return true;
    default:
        return true; /* heartbeats, and what a later version says */
    }
}

/* --- the conversation --- */

static bool send_credit(struct tapping *t)
{
    uint8_t bytes[48];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct source_credit now = {t->taken.bytes + WINDOW_BYTES, t->taken.frames + WINDOW_FRAMES};
    if (now.bytes - t->told.bytes < WINDOW_BYTES / 4 &&
        now.frames - t->told.frames < WINDOW_FRAMES / 4) {
        return true;
    }
    t->told = now;
    source_credit_encode(&now, &w);
    return local_send(&t->client, SOURCE_MSG_TAP_CREDIT, writer_slice(&w));
}

static bool begin(struct tapping *t)
{
    uint8_t bytes[512];
    struct writer w = writer_of(bytes, sizeof(bytes));
    signal(SIGPIPE, SIG_IGN);
    t->signal_fd = cmd_signals();
    t->told = (struct source_credit){WINDOW_BYTES, WINDOW_FRAMES};
    t->m.credit = t->told;
    t->client.waits_for = t->c->args.words[0];
    t->client.hint = "See what there is: ipx-node sources";
    source_tap_encode(&t->m, &w);
    return t->signal_fd >= 0 && !w.failed &&
           local_send(&t->client, SOURCE_MSG_TAP, writer_slice(&w));
}

static int talk(struct tapping *t)
{
    bool is_ok = begin(t);
    while (is_ok && !t->is_over) {
        uint8_t type;
        struct slice body;
        struct pollfd fd = {.fd = t->signal_fd, .events = POLLIN};
        enum ipx_err err = local_next(&t->client, &type, &body);
        if (err == IPX_OK) {
            is_ok = on_message(t, type, body);
        } else if (err == IPX_AGAIN) {
            is_ok = send_credit(t);
            local_wait(&t->client, &fd, 1, -1);
            t->is_over = fd.revents != 0; /* what is watched goes on */
        } else {
            is_ok = false;
        }
    }
    return is_ok ? t->exit_code : cmd_lost(t->c, OUT_FAILED);
}

int cmd_tap(struct cmd *c)
{
    static struct tapping t;
    t = (struct tapping){.c = c, .signal_fd = -1, .framing = SOURCE_FRAMING_LINES};
    t.m.name = slice_text(c->args.words[0]);
    if (t.m.name.len > SOURCE_TEXT_MAX) {
        return cmd_usage(c, "the name is too long to be a source's", "See: ipx-node sources");
    }
    if (!read_from(&t.m, args_text(&c->args, FLAG_FROM))) {
        return cmd_usage(c, "--from is all, last, new, seq:N, time:T or -TIME",
                         "Example: --from -10min, or --from time:2026-01-31T09:30:00Z");
    }
    if (!read_policy(&t.m, args_text(&c->args, FLAG_POLICY))) {
        return cmd_usage(c, "--policy is block, drop-old or sample:N with N from 1 to 1000",
                         "Example: --policy sample:10");
    }
    int code = cmd_connect(c, &t.client, NODE_PROTOCOL_SOURCE_CLIENT);
    if (code == 0) {
        code = talk(&t);
        local_close(&t.client);
    }
    return code;
}

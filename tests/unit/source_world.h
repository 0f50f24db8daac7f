/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "tests/harness.h"

#include "exec/exec.h"
#include "exec/source_wire.h"

/* Two nodes, a (publishes) and b (reads), streams between them that can be cut, and local
 * clients whose messages are kept. */

#define LOG_MAX 20000
#define PIPES_MAX 256

struct entry {
    uint32_t handle;
    uint8_t type;
    uint8_t *bytes;
    struct slice body;
};

struct pipe {
    uint32_t at[2]; /* handles at both ends, the opener's first; 0: closed there */
    int node[2];    /* whose they are; the same for a stream to oneself */
};

static struct mem mem;
static struct exec *node[2];
static struct cert_facts facts[2];
static struct crypt_keypair keys[2];
static struct rng rng;
static uint64_t now_us;
static struct entry entries[LOG_MAX];
static uint32_t n_entries, next_handle;
static struct pipe pipes[PIPES_MAX];
static uint32_t n_pipes;
static uint32_t n_changed;
static bool is_cut;

static uint8_t scratch[300000];

static inline struct pipe *pipe_at(int n, uint32_t handle, int *ret_side)
{
    for (uint32_t i = 0; i < n_pipes; i++) {
        for (int side = 0; side < 2; side++) {
            if (pipes[i].at[side] == handle && pipes[i].node[side] == n) {
                *ret_side = side;
                return &pipes[i];
            }
        }
    }
    return NULL;
}

static inline void note(uint32_t handle, uint8_t type, struct slice body)
{
    CHECK(n_entries < LOG_MAX);
    struct entry *e = &entries[n_entries++];
    *e = (struct entry){.handle = handle, .type = type, .bytes = malloc(body.len + 1)};
    if (body.len > 0) {
        memcpy(e->bytes, body.data, body.len);
    }
    e->body = slice_of(e->bytes, body.len);
}

static uint64_t task_attempt;
static uint8_t task_stdin[200000];
static size_t task_stdin_len;
static bool task_eof, task_is_slow;

static inline void task_act(const struct exec_action *a)
{
    if (a->kind == EXEC_SPAWN) {
        CHECK(a->spawn.has_stdin);
        task_attempt = a->spawn.attempt;
        exec_on_started(node[1], now_us, task_attempt, IPX_OK);
    } else if (a->kind == EXEC_STDIN) {
        CHECK(task_stdin_len + a->input.bytes.len <= sizeof(task_stdin));
        memcpy(task_stdin + task_stdin_len, a->input.bytes.data, a->input.bytes.len);
        task_stdin_len += a->input.bytes.len;
        if (!task_is_slow) {
            exec_on_stdin_taken(node[1], now_us, task_attempt);
        }
    } else if (a->kind == EXEC_STDIN_EOF) {
        task_eof = true;
    }
}

static inline void act_open(int n, const struct exec_action_open *a)
{
    int to = node_id_equal(&a->to, &facts[n].id) ? n : 1 - n;
    if (is_cut && to != n) {
        exec_on_stream_closed(node[n], now_us, a->handle, IPX_UNREACHABLE);
        return;
    }
    CHECK(n_pipes < PIPES_MAX);
    pipes[n_pipes++] = (struct pipe){{a->handle, ++next_handle}, {n, to}};
    exec_on_stream(node[to], now_us, &facts[n], next_handle, a->protocol);
}

static inline void act(int n, const struct exec_action *a)
{
    int side;
    struct pipe *p;
    if (a->kind == EXEC_STREAM_OPEN) {
        act_open(n, &a->open);
    } else if (a->kind == EXEC_STREAM_SEND) {
        p = pipe_at(n, a->send.handle, &side);
        if (p != NULL && p->at[1 - side] != 0) {
            exec_on_stream_message(node[p->node[1 - side]], now_us, p->at[1 - side], a->send.type,
                                   a->send.body);
        } else if (p == NULL) {
            note(a->send.handle, a->send.type, a->send.body);
        }
    } else if (a->kind == EXEC_STREAM_CLOSE) {
        p = pipe_at(n, a->close.handle, &side);
        if (p != NULL) {
            uint32_t other = p->at[1 - side];
            p->at[0] = p->at[1] = 0;
            if (other != 0) {
                exec_on_stream_closed(node[p->node[1 - side]], now_us, other, a->close.err);
            }
        } else {
            note(a->close.handle, 0, SLICE_EMPTY);
        }
    } else if (a->kind == EXEC_DGRAM) {
        int to = node_id_equal(&a->dgram.to, &facts[n].id) ? n : 1 - n;
        exec_recv(node[to], now_us, &facts[n], a->dgram.type, a->dgram.req_id, a->dgram.body);
    } else if (a->kind == EXEC_SOURCES_CHANGED) {
        n_changed++;
    } else if (n == 1) {
        task_act(a);
    }
}

static inline void turn(void)
{
    struct exec_action a;
    bool did = true;
    while (did) {
        did = false;
        for (int n = 0; n < 2; n++) {
            exec_tick(node[n], now_us);
            while (exec_poll(node[n], now_us, &a)) {
                act(n, &a);
                did = true;
            }
            exec_check(node[n]);
        }
    }
}

static inline void until(uint64_t until_us)
{
    turn();
    for (;;) {
        uint64_t due_us = IPX_MIN(exec_deadline(node[0]), exec_deadline(node[1]));
        if (due_us > until_us) {
            break;
        }
        now_us = IPX_MAX(now_us, due_us);
        turn();
    }
    now_us = until_us;
    turn();
}

static inline void cut(void)
{
    is_cut = true;
    for (uint32_t i = 0; i < n_pipes; i++) {
        struct pipe p = pipes[i];
        if (p.node[0] == p.node[1]) {
            continue;
        }
        pipes[i].at[0] = pipes[i].at[1] = 0;
        for (int side = 0; side < 2; side++) {
            if (p.at[side] != 0) {
                exec_on_stream_closed(node[p.node[side]], now_us, p.at[side], IPX_CLOSED);
            }
        }
    }
    turn();
}

static inline struct ad *ad_of(struct exec *x)
{
    struct resource list[32];
    struct ad_builder *b = ad_builder_new(&mem);
    struct ad *ad;
    size_t n = exec_sources(x, list, ARRAY_LEN(list));
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(ad_builder_resource(b, list[i].kind));
        for (uint16_t k = 0; k < list[i].n_labels; k++) {
            CHECK_OK(ad_builder_field(b, list[i].labels[k].name, &list[i].labels[k].value));
        }
    }
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    return ad;
}

/* The ads of all, to all. */
static inline void gossip(void)
{
    const struct exec_vitals vitals = {.is_known = true, .n_slots = 2, .n_free = 2};
    for (int of = 0; of < 2; of++) {
        struct ad *ad = ad_of(node[of]);
        for (int to = 0; to < 2; to++) {
            exec_on_peer(node[to], now_us, &facts[of], ad, &vitals, 0);
        }
        ad_unref(ad);
    }
}

static inline struct exec *node_make(int n)
{
    struct exec *x;
    const struct exec_config config = {
        .key = &keys[n], .self = facts[n], .rng = &rng, .n_slots = 2};
    CHECK_OK(exec_new(&config, &mem, &x));
    return x;
}

static inline void begin(void)
{
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 7);
    CHECK_OK(crypt_init());
    now_us = 50 * US_PER_S;
    next_handle = 0x80000000u;
    n_pipes = n_entries = n_changed = 0;
    is_cut = false;
    for (int n = 0; n < 2; n++) {
        uint8_t seed[32] = {(uint8_t)(n + 1)};
        while (crypt_keypair_from_seed(seed, &keys[n]) != IPX_OK) {
            seed[1]++;
        }
        facts[n] = (struct cert_facts){.id = keys[n].pk, .caps = CERT_ROLE_NODE};
        snprintf(facts[n].name, sizeof(facts[n].name), n == 0 ? "scope" : "desk");
        snprintf(facts[n].lab, sizeof(facts[n].lab), n == 0 ? "astro" : "bio");
        node[n] = node_make(n);
    }
    gossip();
}

static inline void forget(void)
{
    for (uint32_t i = 0; i < n_entries; i++) {
        free(entries[i].bytes);
    }
    n_entries = 0;
}

static inline void finish(void)
{
    forget();
    exec_free(node[0]);
    exec_free(node[1]);
    CHECK_EQ(mem.used, 0);
}

/* The next message to that client: taken out of the log. */
static inline struct entry *take(uint32_t handle)
{
    static struct entry none;
    turn();
    for (uint32_t i = 0; i < n_entries; i++) {
        if (entries[i].handle == handle) {
            entries[i].handle = 0;
            return &entries[i];
        }
    }
    return &none;
}

static inline uint32_t client(int n)
{
    exec_on_source_client(node[n], now_us, ++next_handle, "ann", EXEC_RIGHT_SUBMIT);
    return next_handle;
}

static inline void tell(int n, uint32_t handle, uint8_t type, const struct writer *w)
{
    CHECK(!w->failed);
    exec_on_client_message(node[n], now_us, handle, type, writer_slice(w));
}

static inline struct exec_list list_of(const char *a, const char *b, uint8_t *bytes, size_t size)
{
    struct writer w = writer_of(bytes, size);
    cbor_put_array(&w, b != NULL ? 2 : 1);
    cbor_put_bytes(&w, slice_text(a));
    if (b != NULL) {
        cbor_put_bytes(&w, slice_text(b));
    }
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    return exec_list_read(&r, 8, 1024);
}

static inline uint32_t publish_with(struct source_publish m)
{
    uint32_t h = client(0);
    struct writer w = writer_of(scratch, sizeof(scratch));
    m.framing = m.framing != 0 ? m.framing : SOURCE_FRAMING_LINES;
    source_publish_encode(&m, &w);
    tell(0, h, SOURCE_MSG_PUBLISH, &w);
    turn();
    gossip();
    return h;
}

static inline uint32_t publish(const char *name)
{
    return publish_with((struct source_publish){.name = slice_text(name)});
}

/* Frames "first", "first+1" ..; `len` > 0: padded to that. */
static inline void frames(uint32_t h, uint64_t first, uint32_t n, size_t len)
{
    static uint8_t raw[260000], pad[200000];
    struct writer rw = writer_of(raw, sizeof(raw)), w = writer_of(scratch, sizeof(scratch));
    for (uint32_t i = 0; i < n; i++) {
        int digits = snprintf((char *)pad, sizeof(pad), "%llu", (unsigned long long)(first + i));
        source_frame_encode(&(struct source_frame){(int64_t)(first + i) * 1000,
                                                   slice_of(pad, len > 0 ? len : (size_t)digits)},
                            &rw);
    }
    source_frames_encode(&(struct source_frames){.first = first, .n = n, .raw = writer_slice(&rw)},
                         &w);
    tell(0, h, SOURCE_MSG_FRAMES, &w);
}

/* As many, in pieces that a small ring gives credit for. */
static inline void frames_in_turns(uint32_t h, uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 5) {
        frames(h, first + i, IPX_MIN(n - i, 5), 0);
        turn();
    }
}

static inline uint32_t tap(struct source_tap m, const char *name)
{
    uint32_t h = client(1);
    struct writer w = writer_of(scratch, sizeof(scratch));
    m.name = slice_text(name);
    m.from = m.from != 0 ? m.from : SOURCE_FROM_ALL;
    m.policy = m.policy != 0 ? m.policy : SOURCE_POLICY_BLOCK;
    m.credit.bytes = m.credit.bytes != 0 ? m.credit.bytes : 1 << 30;
    m.credit.frames = m.credit.frames != 0 ? m.credit.frames : 1 << 30;
    source_tap_encode(&m, &w);
    tell(1, h, SOURCE_MSG_TAP, &w);
    turn();
    return h;
}

static inline void credit(uint32_t h, uint64_t bytes, uint64_t n)
{
    struct writer w = writer_of(scratch, sizeof(scratch));
    source_credit_encode(&(struct source_credit){bytes, n}, &w);
    tell(1, h, SOURCE_MSG_TAP_CREDIT, &w);
    turn();
}

/* All that came for a tap, as text: "O" opened, "3-5" frames, "g1-2e" a gap, "h" a heartbeat,
 * "E12" the end, "!3" an error with its exit code, "." closed. */
static inline const char *heard(uint32_t h)
{
    static char text[100000];
    size_t at = 0;
    text[0] = 0;
    for (struct entry *e = take(h); e->bytes != NULL; e = take(h)) {
        struct source_frames f;
        struct source_gap g;
        struct source_opened o;
        struct source_end end;
        struct exec_error err;
        char *to = text + at;
        size_t left = sizeof(text) - at;
        CHECK(left > 100);
        if (e->type == SOURCE_MSG_OPENED) {
            CHECK_OK(source_opened_decode(e->body, &o));
            snprintf(to, left, "O ");
        } else if (e->type == SOURCE_MSG_FRAMES) {
            CHECK_OK(source_frames_decode(e->body, &f));
            snprintf(to, left, "%llu-%llu ", (unsigned long long)f.first,
                     (unsigned long long)(f.first + f.n - 1));
            struct cbor_reader it = source_frames_begin(&f);
            for (uint32_t i = 0; i < f.n; i++) {
                struct source_frame frame = source_frame_next(&it);
                char want[24];
                int n = snprintf(want, sizeof(want), "%llu", (unsigned long long)(f.first + i));
                CHECK(frame.bytes.len >= (size_t)n);
                CHECK_MEM(frame.bytes.data, want, (size_t)n);
                CHECK_EQ(frame.time_us, (int64_t)(f.first + i) * 1000);
            }
        } else if (e->type == SOURCE_MSG_GAP) {
            CHECK_OK(source_gap_decode(e->body, &g));
            snprintf(to, left, "g%llu-%llu%c ", (unsigned long long)g.first,
                     (unsigned long long)g.last, source_gap_name(g.reason)[1]);
        } else if (e->type == SOURCE_MSG_HEARTBEAT) {
            snprintf(to, left, "h ");
        } else if (e->type == SOURCE_MSG_END) {
            CHECK_OK(source_end_decode(e->body, &end));
            snprintf(to, left, "E%u ", end.err);
        } else if (e->type == SOURCE_MSG_ERROR) {
            CHECK_OK(exec_error_decode(e->body, &err));
            snprintf(to, left, "!%u ", err.exit_code);
        } else {
            CHECK_EQ(e->type, 0);
            snprintf(to, left, ".");
        }
        at += strlen(to);
    }
    return text;
}

/* --- as the stdin of a task: a job of the reading node, run by itself --- */

static inline uint32_t submit(const char *stream)
{
    static const uint8_t argv[] = {0x81, 0x43, 'c', 'a', 't'};
    struct writer w = writer_of(scratch, sizeof(scratch));
    exec_submit_encode(&(struct exec_submit){.mode = EXEC_MODE_RUN,
                                             .argv = {slice_of(argv, sizeof(argv)), 1, 3},
                                             .stream = slice_text(stream),
                                             .on = slice_text("desk"),
                                             .needs = {.cpu = 1}},
                       &w);
    exec_on_client(node[1], now_us, ++next_handle, "ann", EXEC_RIGHT_SUBMIT);
    tell(1, next_handle, EXEC_MSG_SUBMIT, &w);
    return next_handle;
}

static inline void task_begin(void)
{
    struct query *q;
    struct query_error error;
    begin();
    task_attempt = 0;
    task_stdin_len = 0;
    task_eof = task_is_slow = false;
    CHECK_OK(query_compile(slice_text("true"), &mem, &q, &error));
    exec_set_accept(node[1], q);
    query_unref(q);
}

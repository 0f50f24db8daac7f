/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An owner alone, with a scripted world round it: the test reads what it asks for
 * (`got`, in order) and plays places, clients and the store by hand.
 */
#include "base/crypt.h"
#include "exec/owner_parts.h"
#include "tests/harness.h"

#define BENCH_GOT_MAX 4096
#define BENCH_CLIENT UINT32_C(0x80000001)

struct got {
    struct exec_action a;
    uint8_t *bytes; /* owned copy of its one slice */
};

struct bench {
    struct mem mem;
    struct exec_core *core;
    struct owner *owner;
    struct crypt_keypair key;
    uint64_t now_us;
    struct got got[BENCH_GOT_MAX];
    uint32_t n_got, at;       /* `at`: what the test has looked at */
    bool stores;              /* the store answers at once */
    uint8_t kept[4][1 << 16]; /* by object & 3: what was stored last there */
    size_t n_kept[4];
};

static inline struct node_id bench_id(uint8_t n)
{
    struct node_id id = {{n, n, n}};
    return id;
}

static inline void bench_init(struct bench *b)
{
    memset(b, 0, sizeof(*b));
    mem_init(&b->mem, SIZE_MAX);
    CHECK_OK(crypt_init());
    uint8_t seed[32] = {1};
    while (crypt_keypair_from_seed(seed, &b->key) != IPX_OK) {
        seed[0]++;
    }
    b->core = mem_alloc(&b->mem, sizeof(*b->core));
    b->core->mem = &b->mem;
    b->core->key = &b->key;
    b->core->self.id = bench_id(1);
    memcpy(b->core->self.lab, "bio", 4);
    rng_init_int(&b->core->rng, 7);
    match_init(&b->core->match, &b->mem);
    out_init(&b->core->out, &b->mem);
    static struct exec_scratch scratch;
    b->core->scratch = &scratch;
    CHECK_OK(owner_new(b->core, &b->owner));
    b->now_us = 1000 * US_PER_S;
    b->stores = true;
}

static inline void bench_forget(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_got; i++) {
        mem_free(&b->mem, b->got[i].bytes);
    }
    b->n_got = b->at = 0;
}

static inline void bench_done(struct bench *b)
{
    owner_free(b->owner);
    out_done(&b->core->out);
    match_done(&b->core->match);
    bench_forget(b);
    mem_free(&b->mem, b->core);
    CHECK_EQ(b->mem.used, 0);
}

static inline struct slice *action_slice(struct exec_action *a)
{
    switch ((int)a->kind) {
    case EXEC_DGRAM:
        return &a->dgram.body;
    case EXEC_STREAM_SEND:
        return &a->send.body;
    case EXEC_STORE:
        return &a->store.bytes;
    default:
        return NULL;
    }
}

/* Drains all actions into `got`; the store answers when it shall. */
static inline void bench_drain(struct bench *b)
{
    struct exec_action a;
    for (;;) {
        owner_check(b->owner);
        if (!out_poll(&b->core->out, &a)) {
            if (!owner_flush(b->owner, b->now_us)) {
                break;
            }
            continue;
        }
        CHECK(b->n_got < BENCH_GOT_MAX);
        struct got *g = &b->got[b->n_got++];
        *g = (struct got){.a = a};
        struct slice *s = action_slice(&g->a);
        if (s != NULL && s->len > 0) {
            g->bytes = mem_dup(&b->mem, s->data, s->len);
            s->data = g->bytes;
        }
        if (a.kind == EXEC_STORE && b->stores) {
            unsigned k = a.store.object & 3;
            struct slice bytes = g->a.store.bytes;
            CHECK(b->n_kept[k] + bytes.len <= sizeof(b->kept[k]));
            memcpy(b->kept[k] + b->n_kept[k], bytes.data, bytes.len);
            b->n_kept[k] += bytes.len;
            owner_on_stored(b->owner, b->now_us, a.store.object, IPX_OK);
        } else if (a.kind == EXEC_LOAD && b->stores) {
            unsigned k = a.store.object & 3;
            owner_on_loaded(b->owner, b->now_us, a.store.object, a.store.offset,
                            slice_of(b->kept[k] + a.store.offset, a.store.len));
        }
    }
}

static inline void bench_at(struct bench *b, uint64_t after_us)
{
    uint64_t end = b->now_us + after_us;
    while (owner_deadline(b->owner) <= end) {
        b->now_us = IPX_MAX(b->now_us, owner_deadline(b->owner));
        owner_tick(b->owner, b->now_us);
        bench_drain(b);
        CHECK(owner_deadline(b->owner) > b->now_us); /* no busy loop */
    }
    b->now_us = end;
}

/* The next action of this kind (and type, for messages; 0: any) not yet looked at; NULL. */
static inline struct exec_action *bench_next(struct bench *b, enum exec_action_kind kind,
                                             uint8_t type)
{
    for (uint32_t i = b->at; i < b->n_got; i++) {
        struct exec_action *a = &b->got[i].a;
        bool fits = a->kind == kind &&
                    (type == 0 || (kind == EXEC_DGRAM ? a->dgram.type : a->send.type) == type);
        if (fits) {
            b->at = i + 1;
            return a;
        }
    }
    return NULL;
}
static inline struct exec_action *bench_want(struct bench *b, enum exec_action_kind kind,
                                             uint8_t type)
{
    struct exec_action *a = bench_next(b, kind, type);
    if (a == NULL) {
        CHECK_FAIL("no action %d of type %d", (int)kind, type);
    }
    return a;
}

/* --- the world --- */

static inline struct cert_facts bench_facts(uint8_t n)
{
    struct cert_facts f = {.id = bench_id(n), .caps = CERT_ROLE_NODE};
    snprintf(f.name, sizeof(f.name), "n%u", n);
    snprintf(f.lab, sizeof(f.lab), "%s", n % 2 != 0 ? "bio" : "phys");
    return f;
}

/* A member with 4 slots, `cores` cores, and a source "cam<n>". */
static inline void bench_peer(struct bench *b, uint8_t n, double cores)
{
    struct ad_builder *ab = ad_builder_new(&b->mem);
    struct ad *ad;
    char cam[16];
    snprintf(cam, sizeof(cam), "cam%u", n);
    struct label_value v = {.type = LABEL_NUMBER, .number = cores};
    struct label_value name = {.type = LABEL_STRING, .text = slice_text(cam)};
    CHECK_OK(ad_builder_label(ab, slice_text("cpu.cores"), &v));
    CHECK_OK(ad_builder_resource(ab, slice_text("source")));
    CHECK_OK(ad_builder_field(ab, slice_text("name"), &name));
    ad_builder_partial(ab);
    CHECK_OK(ad_builder_finish(ab, &ad));
    ad_builder_free(ab);
    ad->is_full = true;
    struct cert_facts f = bench_facts(n);
    struct exec_vitals vitals = {.is_known = true, .n_slots = 4, .n_free = 4};
    struct match_peer *p =
        match_set(&b->core->match, b->now_us, &f, ad, &vitals, n == 1 ? 0 : n * 1000u);
    ad_unref(ad);
    CHECK(p != NULL);
    owner_on_peer(b->owner, b->now_us, p);
    bench_drain(b);
}

static inline void bench_gone(struct bench *b, uint8_t n)
{
    struct node_id id = bench_id(n);
    CHECK(match_remove(&b->core->match, &id));
    owner_on_peer_gone(b->owner, b->now_us, &id);
    bench_drain(b);
}

struct text_list {
    uint8_t bytes[65536];
    struct exec_list list;
};

static inline struct exec_list bench_list(struct text_list *l, const char *text)
{
    struct writer w = writer_of(l->bytes, sizeof(l->bytes));
    uint64_t n = text[0] != 0;
    for (const char *p = text; *p != 0; p++) {
        n += *p == '|';
    }
    cbor_put_array(&w, n);
    for (const char *p = text; n > 0; n--) {
        size_t len = strcspn(p, "|");
        cbor_put_bytes(&w, slice_of(p, len));
        p += len + (p[len] != 0);
    }
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    l->list = exec_list_read(&r, EXEC_BATCH_ITEMS_MAX, EXEC_ITEM_MAX);
    CHECK(cbor_done(&r));
    return l->list;
}

struct ask {
    const char *argv, *where, *prefer, *on, *stream, *range;
    enum exec_mode mode;
    uint32_t flags, retry, limit;
    uint64_t wait_max_us;
};

static inline void client_says(struct bench *b, uint32_t handle, uint8_t type, struct writer *w)
{
    CHECK(!w->failed);
    CHECK(owner_on_client_message(b->owner, b->now_us, handle, type, writer_slice(w)));
    bench_drain(b);
}

static inline void bench_submit(struct bench *b, uint32_t handle, const struct ask *ask)
{
    static struct text_list argv, where;
    static uint8_t out[1 << 17];
    struct exec_submit m = {.mode = ask->mode,
                            .flags = ask->flags,
                            .retry = ask->retry,
                            .limit = ask->limit,
                            .wait_max_us = ask->wait_max_us};
    m.argv = bench_list(&argv, ask->argv != NULL ? ask->argv : "true");
    m.where = bench_list(&where, ask->where != NULL ? ask->where : "");
    m.prefer = slice_text(ask->prefer != NULL ? ask->prefer : "");
    m.on = slice_text(ask->on != NULL ? ask->on : "");
    m.stream = slice_text(ask->stream != NULL ? ask->stream : "");
    m.range = slice_text(ask->range != NULL ? ask->range : "");
    struct writer w = writer_of(out, sizeof(out));
    exec_submit_encode(&m, &w);
    owner_on_client(b->owner, b->now_us, handle, "ann", EXEC_RIGHT_SUBMIT);
    client_says(b, handle, EXEC_MSG_SUBMIT, &w);
}

/* --- a place --- */

static inline void bench_dgram(struct bench *b, uint8_t n, uint8_t type, uint32_t req_id,
                               struct writer *w)
{
    struct cert_facts f = bench_facts(n);
    CHECK(!w->failed);
    owner_recv(b->owner, b->now_us, &f, type, req_id, writer_slice(w));
    bench_drain(b);
}

/* Answers the next PROBE, which must go to node n. */
static inline void place_grants(struct bench *b, uint8_t n, uint32_t slots)
{
    uint8_t out[128];
    struct exec_action *a = bench_want(b, EXEC_DGRAM, EXEC_MSG_PROBE);
    struct node_id id = bench_id(n);
    CHECK(node_id_equal(&a->dgram.to, &id));
    struct exec_probe p;
    CHECK_OK(exec_probe_decode(a->dgram.body, &p));
    struct writer w = writer_of(out, sizeof(out));
    exec_grant_encode(&(struct exec_grant){.n = slots, .n_free = slots, .reservation = 5}, &w);
    bench_dgram(b, n, EXEC_MSG_GRANT, a->dgram.req_id, &w);
}
static inline void place_refuses(struct bench *b, uint8_t n, enum exec_refusal reason)
{
    uint8_t out[128];
    struct exec_action *a = bench_want(b, EXEC_DGRAM, EXEC_MSG_PROBE);
    struct node_id id = bench_id(n);
    CHECK(node_id_equal(&a->dgram.to, &id));
    struct writer w = writer_of(out, sizeof(out));
    exec_refuse_encode(&(struct exec_refuse){.reason = reason}, &w);
    bench_dgram(b, n, EXEC_MSG_REFUSAL, a->dgram.req_id, &w);
}

/* The handle of the stream opened next, to node n; JOB follows at once. */
static inline uint32_t place_opened(struct bench *b, uint8_t n)
{
    struct node_id id = bench_id(n);
    struct exec_action *a = bench_want(b, EXEC_STREAM_OPEN, 0);
    CHECK(node_id_equal(&a->open.to, &id));
    uint32_t handle = a->open.handle;
    a = bench_want(b, EXEC_STREAM_SEND, EXEC_MSG_JOB);
    CHECK_EQ(a->send.handle, handle);
    struct exec_job_msg m;
    struct exec_header h;
    struct exec_spec s;
    CHECK_OK(exec_job_decode(a->send.body, &m));
    CHECK_OK(exec_header_decode(m.header, &h));
    CHECK_OK(exec_spec_decode(m.spec, &s));
    CHECK(crypt_verify(&b->key.pk, "job", &b->core->mesh, m.header, m.signature.data));
    struct hash hash = crypt_hash(m.spec);
    CHECK(hash_equal(&hash, &h.spec_hash));
    return handle;
}

static inline void place_says(struct bench *b, uint32_t handle, uint8_t type, struct writer *w)
{
    CHECK(!w->failed);
    struct core_stream *s = core_stream_find(b->core, handle);
    CHECK(s != NULL);
    owner_on_stream_message(b->owner, b->now_us, s->user, type, writer_slice(w));
    bench_drain(b);
}

static inline void place_closed(struct bench *b, uint32_t handle, enum ipx_err err)
{
    struct core_stream *s = core_stream_find(b->core, handle);
    CHECK(s != NULL);
    owner_on_stream_closed(b->owner, b->now_us, s->user, err);
    bench_drain(b);
}

/* RENEW with these attempts; n pairs. */
static inline void place_renews(struct bench *b, uint32_t handle, const uint32_t *ids, uint32_t n)
{
    uint8_t raw_bytes[1024], out[1100];
    struct writer raw = writer_of(raw_bytes, sizeof(raw_bytes)), w = writer_of(out, sizeof(out));
    for (uint32_t i = 0; i < n; i++) {
        exec_attempt_encode(&(struct exec_attempt_id){ids[2 * i], ids[2 * i + 1]}, &raw);
    }
    exec_attempts_encode(&(struct exec_attempts){.stamp = 9, .n = n, .raw = writer_slice(&raw)},
                         &w);
    place_says(b, handle, EXEC_MSG_RENEW, &w);
}
static inline void place_credits(struct bench *b, uint32_t handle, uint32_t n)
{
    uint8_t out[16];
    struct writer w = writer_of(out, sizeof(out));
    exec_credit_encode(n, &w);
    place_says(b, handle, EXEC_MSG_CREDIT, &w);
}
static inline void place_starts(struct bench *b, uint32_t handle, uint32_t task, uint32_t attempt)
{
    uint8_t out[32];
    struct writer w = writer_of(out, sizeof(out));
    exec_started_encode(&(struct exec_attempt_id){task, attempt}, &w);
    place_says(b, handle, EXEC_MSG_STARTED, &w);
}
static inline void place_result(struct bench *b, uint32_t handle, const struct exec_result *r)
{
    static uint8_t raw_bytes[8192], out[9000];
    struct writer raw = writer_of(raw_bytes, sizeof(raw_bytes)), w = writer_of(out, sizeof(out));
    struct exec_result m = *r;
    if (m.out.len + m.err.len > 0) {
        m.out_len = m.out.len;
        m.err_len = m.err.len;
        m.hash = crypt_hash2(m.out, m.err);
    }
    exec_result_encode(&m, &raw);
    exec_results_encode(&(struct exec_results){1, writer_slice(&raw)}, &w);
    place_says(b, handle, EXEC_MSG_RESULT, &w);
}
static inline void place_refuse(struct bench *b, uint32_t handle, uint32_t task, uint32_t attempt)
{
    uint8_t out[32];
    struct writer w = writer_of(out, sizeof(out));
    exec_refuse_encode(
        &(struct exec_refuse){.reason = EXEC_REFUSAL_FULL, .task = task, .attempt = attempt}, &w);
    place_says(b, handle, EXEC_MSG_REFUSE, &w);
}
static inline void place_ends(struct bench *b, uint32_t handle, uint32_t task, uint32_t attempt,
                              uint8_t code)
{
    place_result(b, handle,
                 &(struct exec_result){
                     .task = task, .attempt = attempt, .end = EXEC_END_EXIT, .code = code});
}
static inline void place_writes(struct bench *b, uint32_t handle, uint32_t task, uint32_t attempt,
                                uint8_t fd, uint64_t offset, const char *text)
{
    uint8_t out[40000];
    struct writer w = writer_of(out, sizeof(out));
    exec_bytes_encode(
        &(struct exec_bytes){
            .id = {task, attempt}, .fd = fd, .offset = offset, .bytes = slice_text(text)},
        &w);
    place_says(b, handle, EXEC_MSG_OUTPUT, &w);
}

/* The next CLAIM on this handle: its claims as "task.attempt=item " text. */
static inline const char *place_claims(struct bench *b, uint32_t handle)
{
    static char text[4096];
    struct exec_claims m;
    size_t len = 0;
    text[0] = 0;
    for (;;) {
        struct exec_action *a = bench_want(b, EXEC_STREAM_SEND, EXEC_MSG_CLAIM);
        CHECK_OK(exec_claims_decode(a->send.body, &m));
        if (a->send.handle == handle && m.n > 0) {
            break;
        }
    }
    struct cbor_reader it = exec_claims_begin(&m);
    for (uint32_t i = 0; i < m.n; i++) {
        struct exec_claim c = exec_claim_next(&it);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u.%u%s%.*s", i > 0 ? " " : "",
                                c.task, c.attempt, c.item.len > 0 ? "=" : "", (int)c.item.len,
                                c.item.len > 0 ? (const char *)c.item.data : "");
    }
    return text;
}

/* --- a client --- */

static inline struct exec_end_msg client_ended(struct bench *b, uint32_t handle)
{
    struct exec_end_msg m;
    struct exec_action *a;
    do {
        a = bench_want(b, EXEC_STREAM_SEND, EXEC_MSG_END);
    } while (a->send.handle != handle);
    CHECK_OK(exec_end_decode(a->send.body, &m));
    return m;
}
static inline struct exec_error client_failed(struct bench *b)
{
    struct exec_error m;
    struct exec_action *a = bench_want(b, EXEC_STREAM_SEND, EXEC_MSG_ERROR);
    CHECK_OK(exec_error_decode(a->send.body, &m));
    return m;
}
/* All that a client was shown since `from`, in order: "index:text " for output, "#index " for
 * the row of a task. */
static inline const char *client_seen(struct bench *b, uint32_t from)
{
    static char text[16384];
    size_t len = 0;
    text[0] = 0;
    for (uint32_t i = from; i < b->n_got; i++) {
        const struct exec_action *a = &b->got[i].a;
        struct exec_shown s;
        struct exec_task_rows rows;
        if (a->kind == EXEC_STREAM_SEND && a->send.type == EXEC_MSG_SHOWN) {
            CHECK_OK(exec_shown_decode(a->send.body, &s));
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%u:%.*s ", s.task,
                                    (int)s.bytes.len, (const char *)s.bytes.data);
        } else if (a->kind == EXEC_STREAM_SEND && a->send.type == EXEC_MSG_TASK) {
            CHECK_OK(exec_task_rows_decode(a->send.body, &rows));
            struct cbor_reader it = exec_task_rows_begin(&rows);
            for (uint32_t k = 0; k < rows.n; k++) {
                len += (size_t)snprintf(text + len, sizeof(text) - len, "#%u ",
                                        exec_task_row_next(&it).task);
            }
        }
    }
    return text;
}

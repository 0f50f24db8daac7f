/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A place with a scripted owner and a scripted shell around it: what the place asks for is
 * kept in a log, from which a test takes what it expects.
 */
#include "tests/harness.h"

#include "base/crypt.h"
#include "exec/place.h"

#define WORLD_LOG_MAX 4096

struct world_entry {
    struct exec_action action;
    uint8_t *bytes; /* of dgram, send, stdin, store, spawn.argv */
    struct slice body;
};

struct world {
    struct mem mem;
    struct exec_core core;
    struct place *place;
    struct crypt_keypair key; /* of the owner */
    struct cert_facts owner;
    struct world_entry log[WORLD_LOG_MAX];
    uint32_t n_log;
    uint64_t now_us;
    uint8_t scratch[400000];
};

static inline void world_clear(struct world *w)
{
    for (uint32_t i = 0; i < w->n_log; i++) {
        free(w->log[i].bytes);
    }
    w->n_log = 0;
}

static inline struct slice world_bytes_of(const struct exec_action *a)
{
    return a->kind == EXEC_DGRAM         ? a->dgram.body
           : a->kind == EXEC_STREAM_SEND ? a->send.body
           : a->kind == EXEC_SPAWN       ? a->spawn.argv
           : a->kind == EXEC_STDIN       ? a->input.bytes
           : a->kind == EXEC_STORE       ? a->store.bytes
                                         : SLICE_EMPTY;
}

/* Drains the place, as exec.c does. */
static inline void world_turn(struct world *w)
{
    struct exec_action a;
    place_tick(w->place, w->now_us);
    do {
        while (out_poll(&w->core.out, &a)) {
            CHECK(w->n_log < WORLD_LOG_MAX);
            struct world_entry *e = &w->log[w->n_log++];
            struct slice s = world_bytes_of(&a);
            e->action = a;
            e->bytes = malloc(s.len + 1);
            if (s.len > 0) {
                memcpy(e->bytes, s.data, s.len);
            }
            e->body = slice_of(e->bytes, s.len);
        }
        place_check(w->place);
    } while (place_flush(w->place, w->now_us));
}

/* Time passes, with every deadline on its way. */
static inline void world_until(struct world *w, uint64_t until_us)
{
    world_turn(w);
    for (uint64_t due_us; (due_us = place_deadline(w->place)) <= until_us;) {
        w->now_us = IPX_MAX(w->now_us, due_us);
        world_turn(w);
    }
    w->now_us = until_us;
    world_turn(w);
}

/* The first entry of the kind (and of the message type, if it is one), taken out of the log; its
 * bytes live until world_clear. NULL: there is none. */
static inline struct world_entry *world_take(struct world *w, enum exec_action_kind kind,
                                             uint8_t type)
{
    world_turn(w);
    for (uint32_t i = 0; i < w->n_log; i++) {
        const struct exec_action *a = &w->log[i].action;
        bool is_it = a->kind == kind && (kind != EXEC_DGRAM || a->dgram.type == type) &&
                     (kind != EXEC_STREAM_SEND || a->send.type == type);
        if (is_it) {
            w->log[i].action.kind = (enum exec_action_kind)99;
            return &w->log[i];
        }
    }
    return NULL;
}

static inline struct world_entry *world_sent(struct world *w, uint8_t type)
{
    return world_take(w, EXEC_STREAM_SEND, type);
}

static inline struct query *world_query(struct world *w, const char *text)
{
    struct query *q;
    struct query_error error;
    CHECK_OK(query_compile(slice_text(text), &w->mem, &q, &error));
    return q;
}

static inline void world_accept(struct world *w, const char *text)
{
    struct query *q = world_query(w, text);
    place_set_accept(w->place, q);
    query_unref(q);
}

static inline void world_self(struct world *w)
{
    struct ad_builder *b = ad_builder_new(&w->mem);
    struct ad *ad;
    struct label_value v = {.type = LABEL_NUMBER, .number = 8e9, .dim = {1, 0}};
    CHECK_OK(ad_builder_label(b, slice_text("mem.total"), &v));
    v = (struct label_value){.type = LABEL_NUMBER, .number = 4};
    CHECK_OK(ad_builder_label(b, slice_text("cpu.cores"), &v));
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    const struct exec_vitals vitals = {
        .is_known = true, .n_slots = w->core.n_slots, .mem_free = 4000000000u};
    CHECK(match_set(&w->core.match, w->now_us, &w->core.self, ad, &vitals, 0) != NULL);
    ad_unref(ad);
}

static inline void world_facts(struct cert_facts *f, const char *name, const char *lab, uint8_t id)
{
    *f = (struct cert_facts){.caps = CERT_ROLE_NODE};
    memset(f->id.bytes, id, 32);
    snprintf(f->name, sizeof(f->name), "%s", name);
    snprintf(f->lab, sizeof(f->lab), "%s", lab);
}

static inline void world_init(struct world *w, uint32_t n_slots)
{
    uint8_t seed[32] = {1};
    memset(w, 0, sizeof(*w));
    mem_init(&w->mem, SIZE_MAX);
    CHECK_OK(crypt_init());
    while (crypt_keypair_from_seed(seed, &w->key) != IPX_OK) {
        seed[1]++;
    }
    w->now_us = 1000000;
    w->core = (struct exec_core){.mem = &w->mem, .n_slots = n_slots};
    rng_init_int(&w->core.rng, 1);
    match_init(&w->core.match, &w->mem);
    out_init(&w->core.out, &w->mem);
    world_facts(&w->core.self, "gpu", "phys", 7);
    world_facts(&w->owner, "me", "bio", 9);
    w->owner.id = w->key.pk;
    world_self(w);
    static struct exec_scratch scratch;
    w->core.scratch = &scratch;
    CHECK_OK(place_new(&w->core, &w->place));
    world_accept(w, "job.lab in [\"bio\", \"phys\"]");
}

static inline void world_done(struct world *w)
{
    world_clear(w);
    place_free(w->place);
    match_done(&w->core.match);
    out_done(&w->core.out);
    CHECK_EQ(w->mem.used, 0);
}

/* --- the owner --- */

struct world_job {
    struct exec_job_id id;
    enum exec_mode mode;
    enum exec_output output;
    enum exec_stdin stdin_kind;
    uint32_t count;
    struct exec_needs needs;
    const char *where, *user;
    uint64_t reservation, epoch;
    uint32_t n_waiting;
    bool is_forged, is_other_spec;
    int64_t expires_ms;
};

static inline struct world_job world_job_of(uint8_t id)
{
    struct world_job j = {.mode = EXEC_MODE_MAP,
                          .output = EXEC_OUTPUT_CAPTURE,
                          .count = 1000,
                          .needs = {.cpu = 1},
                          .where = "",
                          .user = "ann",
                          .epoch = 5,
                          .n_waiting = 1000,
                          .expires_ms = INT64_MAX / 2};
    memset(j.id.bytes, id, sizeof(j.id.bytes));
    return j;
}

static inline struct world_job world_run_of(uint8_t id)
{
    struct world_job j = world_job_of(id);
    j.mode = EXEC_MODE_RUN;
    j.output = EXEC_OUTPUT_STREAM;
    j.count = j.n_waiting = 1;
    return j;
}

static inline void world_message(struct world *w, uint32_t handle, uint8_t type,
                                 const struct writer *m)
{
    CHECK(!m->failed);
    CHECK(place_on_stream_message(w->place, w->now_us, handle, type, writer_slice(m)));
    world_turn(w);
}

static inline void world_open(struct world *w, uint32_t handle)
{
    place_on_stream(w->place, w->now_us, &w->owner, handle);
}

/* Opens the stream and says what it is about. */
static inline void world_send_job(struct world *w, uint32_t handle, const struct world_job *j)
{
    static const uint8_t argv[] = {0x82, 0x44, 'e', 'c', 'h', 'o', 0x42, '{', '}'};
    uint8_t spec_bytes[4096], header_bytes[512], signature[CRYPT_SIG_LEN];
    struct writer sw = writer_of(spec_bytes, sizeof(spec_bytes));
    struct exec_spec spec = {.mode = j->mode,
                             .output = j->output,
                             .stdin_kind = j->stdin_kind,
                             .count = j->count,
                             .needs = j->needs,
                             .argv = {slice_of(argv, sizeof(argv)), 2, 6},
                             .where = slice_text(j->where)};
    exec_spec_encode(&spec, &sw);
    struct exec_header header = {.job = j->id,
                                 .submitter = w->owner.id,
                                 .user = slice_text(j->user),
                                 .spec_hash = crypt_hash(writer_slice(&sw)),
                                 .needs = j->needs,
                                 .expires_ms = j->expires_ms};
    header.spec_hash.bytes[0] ^= j->is_other_spec;
    struct writer hw = writer_of(header_bytes, sizeof(header_bytes));
    exec_header_encode(&header, &hw);
    crypt_sign(&w->key, "job", &w->core.mesh, writer_slice(&hw), signature);
    signature[3] ^= j->is_forged;
    struct writer m = writer_of(w->scratch, sizeof(w->scratch));
    exec_job_encode(&(struct exec_job_msg){.header = writer_slice(&hw),
                                           .signature = slice_of(signature, sizeof(signature)),
                                           .spec = writer_slice(&sw),
                                           .reservation = j->reservation,
                                           .n_waiting = j->n_waiting,
                                           .epoch = j->epoch},
                    &m);
    world_open(w, handle);
    world_message(w, handle, EXEC_MSG_JOB, &m);
}

static inline void world_claim(struct world *w, uint32_t handle, const struct world_job *j,
                               uint32_t first, uint32_t n)
{
    static uint8_t raw[300000];
    struct writer rw = writer_of(raw, sizeof(raw)), m = writer_of(w->scratch, sizeof(w->scratch));
    for (uint32_t i = 0; i < n; i++) {
        exec_claim_encode(&(struct exec_claim){first + i, 1, slice_text("item")}, &rw);
    }
    exec_claims_encode(&(struct exec_claims){.epoch = j->epoch,
                                             .n_waiting = j->n_waiting,
                                             .duration_ms = 15000,
                                             .n = n,
                                             .raw = writer_slice(&rw)},
                       &m);
    world_message(w, handle, EXEC_MSG_CLAIM, &m);
}

static inline void world_out_ack(struct world *w, uint32_t handle, uint32_t task, uint8_t fd,
                                 uint64_t offset)
{
    struct writer m = writer_of(w->scratch, sizeof(w->scratch));
    exec_ack_encode(&(struct exec_ack){{task, 1}, fd, offset}, &m);
    world_message(w, handle, EXEC_MSG_OUT_ACK, &m);
}

static inline void world_result_ack(struct world *w, uint32_t handle, uint32_t task)
{
    uint8_t raw[16];
    struct writer rw = writer_of(raw, sizeof(raw)), m = writer_of(w->scratch, sizeof(w->scratch));
    exec_attempt_encode(&(struct exec_attempt_id){task, 1}, &rw);
    exec_attempts_encode(&(struct exec_attempts){.n = 1, .raw = writer_slice(&rw)}, &m);
    world_message(w, handle, EXEC_MSG_RESULT_ACK, &m);
}

static inline void world_renewed(struct world *w, uint32_t handle, uint64_t stamp)
{
    struct writer m = writer_of(w->scratch, sizeof(w->scratch));
    exec_renewed_encode(stamp, &m);
    world_message(w, handle, EXEC_MSG_RENEWED, &m);
}

static inline void world_cancel(struct world *w, uint32_t handle, uint32_t task, uint8_t signal)
{
    struct writer m = writer_of(w->scratch, sizeof(w->scratch));
    exec_cancel_encode(&(struct exec_cancel){.id = {task, 1}, .signal = signal}, &m);
    world_message(w, handle, EXEC_MSG_CANCEL, &m);
}

static inline void world_stdin(struct world *w, uint32_t handle, uint64_t offset, struct slice s,
                               bool end)
{
    struct writer m = writer_of(w->scratch, sizeof(w->scratch));
    exec_bytes_encode(&(struct exec_bytes){.id = {0, 1}, .offset = offset, .bytes = s, .end = end},
                      &m);
    world_message(w, handle, EXEC_MSG_STDIN, &m);
}

static inline void world_probe(struct world *w, uint8_t job, uint32_t want, struct exec_needs needs,
                               const char *where)
{
    struct exec_probe m = {
        .want = want, .needs = needs, .user = slice_text("ann"), .where = slice_text(where)};
    memset(m.job.bytes, job, sizeof(m.job.bytes));
    struct writer bw = writer_of(w->scratch, sizeof(w->scratch));
    exec_probe_encode(&m, &bw);
    place_recv(w->place, w->now_us, &w->owner, EXEC_MSG_PROBE, 77, writer_slice(&bw));
}

/* The reason of the REFUSAL; 0 if it was a GRANT, which is then in *ret. */
static inline enum exec_refusal world_answer(struct world *w, struct exec_grant *ret)
{
    struct exec_refuse m;
    struct world_entry *e = world_take(w, EXEC_DGRAM, EXEC_MSG_GRANT);
    if (e != NULL) {
        CHECK_EQ(e->action.dgram.req_id, 77);
        CHECK_OK(exec_grant_decode(e->body, ret));
        return 0;
    }
    e = world_take(w, EXEC_DGRAM, EXEC_MSG_REFUSAL);
    CHECK(e != NULL);
    CHECK_OK(exec_refuse_decode(e->body, &m));
    return m.reason;
}

/* --- the shell --- */

/* The attempt spawned next is started; its number. */
static inline uint64_t world_started(struct world *w)
{
    struct world_entry *e = world_take(w, EXEC_SPAWN, 0);
    CHECK(e != NULL);
    uint64_t attempt = e->action.spawn.attempt;
    place_on_started(w->place, w->now_us, attempt, IPX_OK);
    world_turn(w);
    return attempt;
}

static inline void world_exit(struct world *w, uint64_t attempt, uint8_t code, uint8_t signal)
{
    place_on_output(w->place, w->now_us, attempt, 1, SLICE_EMPTY, true);
    place_on_output(w->place, w->now_us, attempt, 2, SLICE_EMPTY, true);
    place_on_exit(w->place, w->now_us, attempt, code, signal, 5);
    world_turn(w);
}

static inline bool world_result(struct world *w, struct exec_result *ret)
{
    struct exec_results m;
    struct world_entry *e = world_sent(w, EXEC_MSG_RESULT);
    if (e == NULL) {
        return false;
    }
    CHECK_OK(exec_results_decode(e->body, &m));
    struct cbor_reader it = exec_results_begin(&m);
    *ret = exec_result_next(&it);
    return true;
}

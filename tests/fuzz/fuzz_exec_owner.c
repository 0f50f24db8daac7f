/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypt.h"
#include "exec/owner_parts.h"

/*
 * The owner under arbitrary sequences: each step of the input is one event (a
 * member, a message of a place or client, time, an answer of the store), built from
 * a few bytes so that most of it is well formed. The invariant is checked after each.
 */

#define CLIENTS 4u
#define STEPS_MAX 400u

struct world {
    struct mem mem;
    struct exec_core *core;
    struct owner *owner;
    struct crypt_keypair key;
    struct ad *ad;
    uint64_t now_us;
    uint32_t handles[16]; /* streams that were opened, some closed since */
    uint32_t reqs[16];
    uint64_t objects[8];
    uint32_t n_handles, n_reqs, n_objects;
    uint8_t out[EXEC_CHUNK_MAX + 4096], raw[4096];
};

static struct node_id node_of(uint8_t n)
{
    return (struct node_id){{(uint8_t)(n % 5 + 1)}};
}

static struct cert_facts facts_of(uint8_t n)
{
    struct cert_facts f = {.id = node_of(n), .caps = CERT_ROLE_NODE};
    f.name[0] = (char)('a' + n % 5);
    f.lab[0] = (char)('x' + n % 2);
    return f;
}

static void drain(struct world *w)
{
    struct exec_action a;
    for (;;) {
        owner_check(w->owner);
        if (!out_poll(&w->core->out, &a)) {
            if (!owner_flush(w->owner, w->now_us)) {
                return;
            }
            continue;
        }
        if (a.kind == EXEC_STREAM_OPEN) {
            w->handles[w->n_handles++ % 16] = a.open.handle;
        } else if (a.kind == EXEC_DGRAM) {
            w->reqs[w->n_reqs++ % 16] = a.dgram.req_id;
        } else if (a.kind == EXEC_STORE || a.kind == EXEC_LOAD) {
            w->objects[w->n_objects++ % 8] = a.store.object;
        }
    }
}

static void step_client(struct world *w, struct reader *r)
{
    uint8_t what = reader_u8(r), n = reader_u8(r);
    uint32_t handle = UINT32_C(0x80000000) + n % CLIENTS + 1;
    struct writer m = writer_of(w->out, sizeof(w->out));
    uint8_t argv[16] = {0x81, 0x44, 't', 'r', 'u', 'e'};
    struct exec_list l = {{argv, 6}, 1, 4};
    uint8_t type = EXEC_MSG_SIGNAL;
    if (what % 8 == 0) {
        if (client_find(w->owner, handle) == NULL) {
            owner_on_client(w->owner, w->now_us, handle, "ann", n % 3 + 1u);
        } else {
            owner_on_client_closed(w->owner, w->now_us, handle);
        }
        return;
    }
    if (what % 8 <= 2) {
        type = EXEC_MSG_SUBMIT;
        struct exec_submit s = {.mode = what % 8 == 1 ? EXEC_MODE_RUN : EXEC_MODE_MAP,
                                .flags = reader_u8(r),
                                .argv = l,
                                .retry = n % 3,
                                .limit = n % 4};
        s.wait_max_us = n % 5 == 0 ? 3 * US_PER_S : 0;
        s.range = what % 8 == 2 ? slice_text("1-7") : SLICE_EMPTY;
        s.on = n % 7 == 0 ? slice_text("a") : SLICE_EMPTY;
        exec_submit_encode(&s, &m);
    } else if (what % 8 == 3) {
        type = EXEC_MSG_INPUT;
        exec_input_encode(&(struct exec_input){slice_of(w->raw, n), (what & 8) != 0}, &m);
    } else if (what % 8 == 4) {
        type = EXEC_MSG_CLIENT_ACK;
        exec_client_ack_encode(&(struct exec_client_ack){n, what}, &m);
    } else if (what % 8 == 5) {
        type = (uint8_t)(EXEC_MSG_CANCEL_JOB + (what >> 3) % 6);
        char id[EXEC_JOB_TEXT_SIZE] = "";
        if (w->owner->n_jobs > 0) {
            job_id_text(&w->owner->jobs[n % w->owner->n_jobs]->id, id);
        }
        uint8_t ids[32] = {0x81, 0x50};
        memcpy(ids + 2, id, 16);
        exec_ask_encode(&(struct exec_ask){.ids = {{ids, 18}, 1, 16}, .follow = n % 2}, &m);
    } else if (what % 8 == 6) {
        exec_number_encode(n % 3 == 0 ? 9 : 15, &m);
    } else {
        type = n;
        writer_bytes(&m, reader_bytes(r, IPX_MIN(reader_left(r), (size_t)(what >> 3))));
    }
    owner_on_client_message(w->owner, w->now_us, handle, type, slice_of(w->out, m.len));
}

static void step_result(struct world *w, struct writer *m, uint8_t a, uint8_t c, uint8_t d)
{
    struct writer raw = writer_of(w->raw, sizeof(w->raw));
    struct exec_result res = {
        .task = a % 8, .attempt = c % 4 + 1u, .end = d % 10 + 1u, .code = d >> 6};
    static const uint8_t text[8] = "output";
    if (d % 3 == 0) {
        res.out = slice_of(text, d % 7);
        res.out_len = d % 7;
        res.hash = crypt_hash2(res.out, res.err);
    } else if (d % 3 == 1) {
        res.out_len = d;
    }
    exec_result_encode(&res, &raw);
    exec_results_encode(&(struct exec_results){1, writer_slice(&raw)}, m);
}

static void step_place(struct world *w, struct reader *r)
{
    uint8_t what = reader_u8(r), a = reader_u8(r), c = reader_u8(r), d = reader_u8(r);
    struct core_stream *s = core_stream_find(w->core, w->handles[what >> 4]);
    struct writer m = writer_of(w->out, sizeof(w->out)), raw = writer_of(w->raw, 4096);
    static const uint8_t types[16] = {EXEC_MSG_CREDIT,
                                      EXEC_MSG_CREDIT,
                                      EXEC_MSG_RESULT,
                                      EXEC_MSG_RESULT,
                                      EXEC_MSG_RENEW,
                                      EXEC_MSG_RENEW,
                                      EXEC_MSG_OUTPUT,
                                      EXEC_MSG_OUTPUT,
                                      EXEC_MSG_STARTED,
                                      EXEC_MSG_REFUSE,
                                      EXEC_MSG_STDIN_ACK,
                                      0,
                                      1,
                                      2,
                                      3,
                                      99};
    uint8_t type = types[what & 15];
    if (s == NULL) {
        return;
    }
    if (type <= 3 && type != EXEC_MSG_CREDIT) {
        owner_on_stream_closed(w->owner, w->now_us, s->user,
                               a % 3 == 0   ? IPX_OK
                               : a % 3 == 1 ? IPX_UNREACHABLE
                                            : IPX_CLOSED);
        return;
    }
    if (type == EXEC_MSG_CREDIT) {
        exec_credit_encode(a % 16, &m);
    } else if (type == EXEC_MSG_RESULT) {
        step_result(w, &m, a, c, d);
    } else if (type == EXEC_MSG_RENEW) {
        uint32_t n = d % 5;
        for (uint32_t i = 0; i < n; i++) {
            exec_attempt_encode(&(struct exec_attempt_id){(a + i) % 9, c % 3 + 1u}, &raw);
        }
        exec_attempts_encode(&(struct exec_attempts){a, n, writer_slice(&raw)}, &m);
    } else if (type == EXEC_MSG_OUTPUT) {
        exec_bytes_encode(&(struct exec_bytes){.id = {a % 8, c % 4 + 1u},
                                               .fd = d % 3,
                                               .offset = c >> 2,
                                               .bytes = slice_of(w->raw, d)},
                          &m);
    } else if (type == EXEC_MSG_STARTED) {
        exec_started_encode(&(struct exec_attempt_id){a % 8, c % 4 + 1u}, &m);
    } else if (type == EXEC_MSG_REFUSE) {
        exec_refuse_encode(
            &(struct exec_refuse){
                .reason = d % 7 + 1u, .is_job = d > 200, .task = a % 8, .attempt = c % 4 + 1u},
            &m);
    } else if (type == EXEC_MSG_STDIN_ACK) {
        exec_ack_encode(&(struct exec_ack){{0, c % 4 + 1u}, 0, d}, &m);
    } else {
        writer_bytes(&m, reader_bytes(r, IPX_MIN(reader_left(r), (size_t)a)));
        type = d;
    }
    owner_on_stream_message(w->owner, w->now_us, s->user, type, slice_of(w->out, m.len));
}

static void step_dgram(struct world *w, struct reader *r)
{
    uint8_t what = reader_u8(r), n = reader_u8(r);
    struct cert_facts f = facts_of(n);
    struct writer m = writer_of(w->out, sizeof(w->out));
    uint8_t type = EXEC_MSG_GRANT;
    if (what % 4 < 2) {
        exec_grant_encode(&(struct exec_grant){.n = what % 5 + 1u, .reservation = 1}, &m);
    } else if (what % 4 == 2) {
        type = EXEC_MSG_REFUSAL;
        exec_refuse_encode(&(struct exec_refuse){.reason = (what >> 2) % 7 + 1u}, &m);
    } else {
        type = EXEC_MSG_FREE;
        exec_free_encode(&(struct exec_free_slots){1}, &m);
    }
    for (uint32_t i = 0; i < 16; i++) {
        owner_recv(w->owner, w->now_us, &f, type, w->reqs[i], writer_slice(&m));
    }
}

static void step_world(struct world *w, struct reader *r)
{
    uint8_t what = reader_u8(r), n = reader_u8(r);
    struct node_id id = node_of(n);
    struct cert_facts f = facts_of(n);
    struct exec_vitals vitals = {.is_known = true, .n_slots = 4, .n_free = what % 5};
    if (what % 4 == 0) {
        if (match_remove(&w->core->match, &id)) {
            owner_on_peer_gone(w->owner, w->now_us, &id);
        }
    } else if (what % 4 == 1) {
        uint64_t object = w->objects[n % 8];
        owner_on_stored(w->owner, w->now_us, object, what > 240 ? IPX_FULL : IPX_OK);
        owner_on_loaded(w->owner, w->now_us, object, what >> 6, slice_of(w->raw, what % 16));
    } else if (what % 4 == 2) {
        w->now_us += (uint64_t)n * n * 1000;
        owner_tick(w->owner, w->now_us);
        drain(w);
        assert(owner_deadline(w->owner) > w->now_us);
    } else {
        owner_on_peer(w->owner, w->now_us,
                      match_set(&w->core->match, w->now_us, &f, w->ad, &vitals, n));
    }
}

static void world_init(struct world *w)
{
    mem_init(&w->mem, SIZE_MAX);
    uint8_t seed[32] = {1};
    while (crypt_keypair_from_seed(seed, &w->key) != IPX_OK) {
        seed[0]++;
    }
    w->core = mem_alloc(&w->mem, sizeof(*w->core));
    assert(w->core != NULL);
    w->core->mem = &w->mem;
    w->core->key = &w->key;
    w->core->self = facts_of(0);
    rng_init_int(&w->core->rng, 7);
    match_init(&w->core->match, &w->mem);
    out_init(&w->core->out, &w->mem);
    static struct exec_scratch scratch;
    w->core->scratch = &scratch;
    enum ipx_err err = owner_new(w->core, &w->owner);
    assert(err == IPX_OK);
    struct ad_builder *ab = ad_builder_new(&w->mem);
    err = ad_builder_finish(ab, &w->ad);
    assert(err == IPX_OK);
    ad_builder_free(ab);
    w->now_us = US_PER_S;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w; /* large */
    memset(&w, 0, sizeof(w));
    world_init(&w);
    struct reader r = reader_of(slice_of(data, size));
    for (uint32_t i = 0; i < STEPS_MAX && reader_left(&r) > 0; i++) {
        switch (reader_u8(&r) % 4) {
        case 0:
            step_client(&w, &r);
            break;
        case 1:
            step_dgram(&w, &r);
            break;
        case 2:
            step_place(&w, &r);
            break;
        default:
            step_world(&w, &r);
            break;
        }
        drain(&w);
    }
    owner_free(w.owner);
    out_done(&w.core->out);
    match_done(&w.core->match);
    ad_unref(w.ad);
    mem_free(&w.mem, w.core);
    assert(w.mem.used == 0);
    return 0;
}

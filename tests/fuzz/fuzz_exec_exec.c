/* SPDX-License-Identifier: Apache-2.0 */
/* The face of exec, all its parts behind it: a sequence of messages of a peer and of clients,
 * streams that open and close, answers of the shell and steps in time. What exec says to itself
 * comes back to it, as in the node. An operation is: kind, length of its bytes, bytes. */
#include "base/crypt.h"
#include "exec/exec.h"

#define HANDLES 6 /* streams that came in; 0 is no handle */
#define HANDLE_FIRST 0x80000000u
#define MEMORY_MAX (64u << 20)

static struct mem mem;
static struct exec *x;
static struct crypt_keypair key;
static struct cert_facts self, peer;
static uint64_t now_us;
static bool is_open[HANDLES], is_client[HANDLES];
static uint64_t attempts[8], objects[8];
static uint32_t n_attempts, n_objects, dialled[4], n_dialled;

static void drain(void)
{
    struct exec_action a;
    uint8_t copy[1100];
    while (exec_poll(x, now_us, &a)) {
        if (a.kind == EXEC_SPAWN) {
            attempts[n_attempts++ % ARRAY_LEN(attempts)] = a.spawn.attempt;
        } else if (a.kind == EXEC_STORE || a.kind == EXEC_LOAD) {
            objects[n_objects++ % ARRAY_LEN(objects)] = a.store.object;
        } else if (a.kind == EXEC_STREAM_OPEN) {
            dialled[n_dialled++ % ARRAY_LEN(dialled)] = a.open.handle;
        } else if (a.kind == EXEC_STREAM_CLOSE && a.close.handle - HANDLE_FIRST < HANDLES) {
            is_open[a.close.handle - HANDLE_FIRST] = false;
        } else if (a.kind == EXEC_DGRAM && node_id_equal(&a.dgram.to, &self.id)) {
            assert(a.dgram.body.len <= sizeof(copy));
            size_t len = a.dgram.body.len;
            memcpy(copy, a.dgram.body.data, len);
            exec_recv(x, now_us, &self, a.dgram.type, a.dgram.req_id, slice_of(copy, len));
        }
    }
    exec_check(x);
}

static void peer_known(const struct cert_facts *facts)
{
    const struct exec_vitals vitals = {.is_known = true, .n_slots = 4, .n_free = 4};
    struct ad_builder *b = ad_builder_new(&mem);
    struct ad *ad;
    enum ipx_err err = ad_builder_finish(b, &ad);
    assert(err == IPX_OK);
    ad_builder_free(b);
    exec_on_peer(x, now_us, facts, ad, &vitals, facts == &self ? 0 : 1000);
    ad_unref(ad);
}

static void begin(void)
{
    uint8_t seed[32] = {3};
    struct query *q;
    struct query_error error;
    struct rng rng;
    enum ipx_err err = crypt_init();
    assert(err == IPX_OK);
    while (crypt_keypair_from_seed(seed, &key) != IPX_OK) {
        seed[1]++;
    }
    mem_init(&mem, MEMORY_MAX);
    rng_init_int(&rng, 1);
    now_us = US_PER_S;
    n_attempts = n_objects = n_dialled = 0;
    memset(is_open, 0, sizeof(is_open));
    self = (struct cert_facts){.id = key.pk, .caps = CERT_ROLE_NODE, .lab = "bio", .name = "a"};
    peer = (struct cert_facts){.id = {{9}}, .caps = CERT_ROLE_NODE, .lab = "bio", .name = "b"};
    struct exec_config config = {.key = &key, .self = self, .rng = &rng, .n_slots = 4};
    err = exec_new(&config, &mem, &x);
    assert(err == IPX_OK);
    err = query_compile(slice_text("true"), &mem, &q, &error);
    assert(err == IPX_OK);
    exec_set_accept(x, q);
    query_unref(q);
    exec_on_clock(x, now_us, 1000);
    peer_known(&self);
    peer_known(&peer);
}

static void stream_open(uint8_t i, uint8_t how)
{
    if (is_open[i]) {
        return;
    }
    is_open[i] = true;
    is_client[i] = (how & 2) != 0;
    if (how % 4 == 2) {
        exec_on_client(x, now_us, HANDLE_FIRST + i, "ann", EXEC_RIGHT_SUBMIT | EXEC_RIGHT_ADMIN);
    } else if (how % 4 == 3) {
        exec_on_source_client(x, now_us, HANDLE_FIRST + i, "ann", EXEC_RIGHT_SUBMIT);
    } else {
        exec_on_stream(x, now_us, &peer, HANDLE_FIRST + i, (uint8_t)(2 + how % 2));
    }
}

/* A well-formed job of a client. */
static void submit(uint8_t i, uint8_t how)
{
    static const uint8_t argv[] = {0x82, 0x44, 'e', 'c', 'h', 'o', 0x42, '{', '}'};
    uint8_t body[512];
    struct writer w = writer_of(body, sizeof(body));
    bool is_run = (how & 1) != 0;
    struct exec_submit s = {.mode = is_run ? EXEC_MODE_RUN : EXEC_MODE_MAP,
                            .argv = {slice_of(argv, sizeof(argv)), 2, 6},
                            .range = is_run ? SLICE_EMPTY : slice_text("1-5"),
                            .on = (how & 2) != 0 ? slice_text("b") : SLICE_EMPTY,
                            .retry = how >> 2 & 3};
    exec_submit_encode(&s, &w);
    if (is_open[i] && is_client[i]) {
        exec_on_client_message(x, now_us, HANDLE_FIRST + i, EXEC_MSG_SUBMIT, writer_slice(&w));
    }
}

static void stream(uint8_t i, uint8_t type, struct slice in)
{
    if (i == 0 && n_dialled > 0) { /* a stream that exec itself opened */
        uint32_t handle = dialled[type % IPX_MIN(n_dialled, ARRAY_LEN(dialled))];
        exec_on_stream_message(x, now_us, handle, type, in);
    } else if (is_open[i] && is_client[i]) {
        exec_on_client_message(x, now_us, HANDLE_FIRST + i, type, in);
    } else if (is_open[i]) {
        exec_on_stream_message(x, now_us, HANDLE_FIRST + i, type, in);
    }
}

static void stream_closed(uint8_t i, uint8_t how)
{
    if (is_open[i]) {
        is_open[i] = false;
        if (is_client[i]) {
            exec_on_client_closed(x, now_us, HANDLE_FIRST + i);
        } else {
            exec_on_stream_closed(x, now_us, HANDLE_FIRST + i, (how & 1) != 0 ? IPX_OK : IPX_STALE);
        }
    }
}

static void shell(uint8_t op, struct slice in)
{
    uint64_t attempt = attempts[op % ARRAY_LEN(attempts)];
    uint64_t object = objects[op % ARRAY_LEN(objects)];
    switch (op / 8 % 6) {
    case 0:
        exec_on_started(x, now_us, attempt, (op & 64) != 0 ? IPX_NOT_FOUND : IPX_OK);
        break;
    case 1:
        exec_on_output(x, now_us, attempt, (uint8_t)(1 + (op >> 6) % 2), in, in.len == 0);
        break;
    case 2:
        exec_on_exit(x, now_us, attempt, op, 0, 1);
        break;
    case 3:
        exec_on_stdin_taken(x, now_us, attempt);
        break;
    case 4:
        exec_on_stored(x, now_us, object, (op & 64) != 0 ? IPX_FULL : IPX_OK);
        break;
    default:
        exec_on_loaded(x, now_us, object, 0, in);
        break;
    }
}

static void operate(uint8_t op, uint8_t a, struct slice in)
{
    switch (op % 8) {
    case 0:
        exec_recv(x, now_us, &peer, (uint8_t)(46 + op / 8 % 20), a, in);
        break;
    case 1:
        stream_open(1 + a % (HANDLES - 1), op / 8);
        break;
    case 2:
        submit(1 + op / 8 % (HANDLES - 1), a);
        break;
    case 3:
        stream(op / 8 % HANDLES, a, in);
        break;
    case 4:
        stream_closed(1 + a % (HANDLES - 1), op / 8);
        break;
    case 5:
        shell(a, in);
        break;
    case 6:
        if ((a & 0x80) != 0) {
            exec_on_peer_gone(x, now_us, &peer.id);
        } else {
            peer_known(&peer);
        }
        break;
    default:
        now_us += (uint64_t)1 << a % 30;
        exec_tick(x, now_us);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    drain();
    for (size_t at = 0; at + 3 <= size;) {
        size_t len = IPX_MIN((size_t)data[at + 2], size - at - 3);
        operate(data[at], data[at + 1], slice_of(data + at + 3, len));
        drain();
        at += 3 + len;
    }
    exec_free(x);
    assert(mem.used == 0);
    return 0;
}

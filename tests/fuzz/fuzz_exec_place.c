/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypt.h"
#include "exec/place.h"

/* A place with one job open, and an input that is a sequence of messages of its owner, of answers
 * of its shell and of steps in time. After each the full invariant holds; at the end nothing is
 * left. An operation is: kind, length of its bytes, bytes. */

#define HANDLE 0x80000001u

static struct exec_core core;
static struct place *place;
static struct crypt_keypair key;
static struct cert_facts owner;
static uint64_t now_us;
static uint64_t attempts[16]; /* spawned last */
static uint64_t objects[16];
static uint32_t n_attempts, n_objects;

static void drain(void)
{
    struct exec_action a;
    do {
        while (out_poll(&core.out, &a)) {
            if (a.kind == EXEC_SPAWN) {
                attempts[n_attempts++ % 16] = a.spawn.attempt;
            } else if (a.kind == EXEC_STORE) {
                objects[n_objects++ % 16] = a.store.object;
            }
        }
        place_check(place);
    } while (place_flush(place, now_us));
}

static void self_make(struct mem *mem)
{
    const struct exec_vitals vitals = {.is_known = true, .n_slots = 4};
    struct ad_builder *b = ad_builder_new(mem);
    struct ad *ad;
    enum ipx_err err = ad_builder_finish(b, &ad);
    assert(err == IPX_OK);
    ad_builder_free(b);
    struct match_peer *p = match_set(&core.match, now_us, &core.self, ad, &vitals, 0);
    assert(p != NULL);
    ad_unref(ad);
}

static void begin(struct mem *mem)
{
    uint8_t seed[32] = {3};
    struct query *q;
    struct query_error error;
    mem_init(mem, 64u << 20);
    enum ipx_err err = crypt_init();
    assert(err == IPX_OK);
    while (crypt_keypair_from_seed(seed, &key) != IPX_OK) {
        seed[1]++;
    }
    now_us = US_PER_S;
    n_attempts = n_objects = 0;
    core = (struct exec_core){.mem = mem, .n_slots = 4};
    core.self = (struct cert_facts){.caps = CERT_ROLE_NODE, .lab = "bio"};
    owner = (struct cert_facts){.id = key.pk, .caps = CERT_ROLE_NODE, .lab = "bio"};
    rng_init_int(&core.rng, 1);
    match_init(&core.match, mem);
    out_init(&core.out, mem);
    self_make(mem);
    static struct exec_scratch scratch;
    core.scratch = &scratch;
    err = place_new(&core, &place);
    assert(err == IPX_OK);
    err = query_compile(slice_text("true"), mem, &q, &error);
    assert(err == IPX_OK);
    place_set_accept(place, q);
    query_unref(q);
}

/* A well-formed JOB; its kind by the first byte of the input. */
static void job_open(uint8_t kind)
{
    static const uint8_t argv[] = {0x82, 0x44, 'e', 'c', 'h', 'o', 0x42, '{', '}'};
    uint8_t spec_bytes[512], header_bytes[512], message[2048], signature[CRYPT_SIG_LEN];
    bool is_run = (kind & 1) != 0;
    struct exec_spec spec = {.mode = is_run ? EXEC_MODE_RUN : EXEC_MODE_MAP,
                             .output = is_run ? EXEC_OUTPUT_STREAM : EXEC_OUTPUT_CAPTURE,
                             .stdin_kind = is_run ? EXEC_STDIN_CLIENT : EXEC_STDIN_NONE,
                             .count = is_run ? 1 : 1000,
                             .needs = {.cpu = 1, .time_us = (kind & 2) != 0 ? US_PER_S : 0},
                             .argv = {slice_of(argv, sizeof(argv)), 2, 6}};
    struct writer sw = writer_of(spec_bytes, sizeof(spec_bytes));
    exec_spec_encode(&spec, &sw);
    struct exec_header header = {.submitter = key.pk,
                                 .user = slice_text("ann"),
                                 .spec_hash = crypt_hash(writer_slice(&sw)),
                                 .needs = spec.needs,
                                 .expires_ms = INT64_MAX / 2};
    struct writer hw = writer_of(header_bytes, sizeof(header_bytes));
    exec_header_encode(&header, &hw);
    crypt_sign(&key, "job", &core.mesh, writer_slice(&hw), signature);
    struct writer w = writer_of(message, sizeof(message));
    exec_job_encode(&(struct exec_job_msg){.header = writer_slice(&hw),
                                           .signature = slice_of(signature, sizeof(signature)),
                                           .spec = writer_slice(&sw),
                                           .n_waiting = spec.count,
                                           .epoch = 1},
                    &w);
    if (place_on_stream_message(place, now_us, HANDLE, EXEC_MSG_RENEWED, SLICE_EMPTY)) {
        place_on_stream_closed(place, now_us, HANDLE, IPX_CLOSED);
    }
    drain();
    place_on_stream(place, now_us, &owner, HANDLE);
    place_on_stream_message(place, now_us, HANDLE, EXEC_MSG_JOB, writer_slice(&w));
}

static void claim(uint8_t task)
{
    uint8_t raw[64], message[128];
    struct writer rw = writer_of(raw, sizeof(raw)), w = writer_of(message, sizeof(message));
    exec_claim_encode(&(struct exec_claim){task, 1, slice_text("x")}, &rw);
    exec_claims_encode(
        &(struct exec_claims){
            .epoch = 1, .n_waiting = 9, .duration_ms = 5000, .n = 1, .raw = writer_slice(&rw)},
        &w);
    (void)place_on_stream_message(place, now_us, HANDLE, EXEC_MSG_CLAIM, writer_slice(&w));
}

static void shell(uint8_t op, struct slice in)
{
    static const enum ipx_err errors[] = {IPX_OK, IPX_NOT_FOUND, IPX_DENIED, IPX_FULL};
    uint8_t a = in.len > 0 ? in.data[0] : 0;
    uint64_t attempt = attempts[a % 16], object = objects[a % 16];
    switch (op % 6) {
    case 0:
        place_on_started(place, now_us, attempt, errors[(a >> 4) % 4]);
        break;
    case 1:
        for (unsigned i = 0; i < 1u + (a >> 4); i++) {
            place_on_output(place, now_us, attempt, (uint8_t)(1 + (op >> 6) % 2), in, false);
        }
        break;
    case 2:
        place_on_exit(place, now_us, attempt, a, a >> 5, 1);
        break;
    case 3:
        place_on_stdin_taken(place, now_us, attempt);
        break;
    case 4:
        place_on_stored(place, now_us, object, errors[a >> 6]);
        break;
    default:
        place_on_loaded(place, now_us, object, (uint64_t)(a >> 4) * EXEC_CHUNK_MAX, in);
        break;
    }
}

static void operate(uint8_t op, struct slice in)
{
    uint8_t a = in.len > 0 ? in.data[0] : 0;
    switch (op % 8) {
    case 0:
        place_recv(place, now_us, &owner, EXEC_MSG_PROBE, op, in);
        break;
    case 1:
    case 2:
        (void)place_on_stream_message(place, now_us, HANDLE, op / 8 % 16, in);
        break;
    case 3:
        claim(a);
        break;
    case 4:
        (void)place_on_stream_closed(place, now_us, HANDLE, (a & 1) != 0 ? IPX_OK : IPX_CLOSED);
        break;
    case 5:
        job_open(a);
        break;
    case 6:
        now_us += (uint64_t)1 << a % 28;
        place_tick(place, now_us);
        break;
    default:
        shell(op / 8, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    begin(&mem);
    job_open(size > 0 ? data[0] : 0);
    drain();
    for (size_t at = 1; at + 2 <= size;) {
        uint8_t op = data[at];
        size_t len = IPX_MIN((size_t)data[at + 1], size - at - 2);
        operate(op, slice_of(data + at + 2, len));
        drain();
        at += 2 + len;
    }
    place_free(place);
    match_done(&core.match);
    out_done(&core.out);
    assert(mem.used == 0);
    return 0;
}

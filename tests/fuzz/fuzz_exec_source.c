/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypt.h"
#include "exec/source.h"

/* A node that publishes one source and taps one of another node. The input is a sequence of
 * messages of its clients, of readers and of the publishing node, and of steps in time. After
 * each the full invariant holds; at the end nothing is left. */

#define PUBLISHER 0x80000001u
#define TAPPER 0x80000002u
#define READER 0x80000003u

static struct exec_core core;
static struct sources *sources;
static struct source_tap_in *task;
static uint64_t now_us;
static uint32_t tap_handle; /* of the stream opened last */
static bool has_client[2], has_reader;

static void drain(void)
{
    struct exec_action a;
    do {
        while (out_poll(&core.out, &a)) {
            if (a.kind == EXEC_STREAM_OPEN) {
                tap_handle = a.open.handle;
            } else if (a.kind == EXEC_STREAM_CLOSE) {
                has_client[0] = has_client[0] && a.close.handle != PUBLISHER;
                has_client[1] = has_client[1] && a.close.handle != TAPPER;
                has_reader = has_reader && a.close.handle != READER;
            }
        }
        sources_check(sources);
    } while (sources_flush(sources, now_us));
}

static void publish(uint8_t kind)
{
    uint8_t bytes[128];
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (!has_client[0]) {
        has_client[0] = true;
        sources_on_client(sources, now_us, PUBLISHER, "ann", 1);
    }
    source_publish_encode(&(struct source_publish){.name = slice_text("wx"),
                                                   .framing = 1 + kind % 2,
                                                   .ring_frames = kind / 4,
                                                   .ring_bytes = (kind & 1) != 0 ? 5000 : 0},
                          &w);
    (void)sources_on_client_message(sources, now_us, PUBLISHER, SOURCE_MSG_PUBLISH,
                                    writer_slice(&w));
}

static void frames(uint8_t n)
{
    static uint8_t raw[4096], message[8192];
    struct writer rw = writer_of(raw, sizeof(raw)), w = writer_of(message, sizeof(message));
    n = n % 32 + 1;
    for (uint8_t i = 0; i < n; i++) {
        source_frame_encode(&(struct source_frame){i, slice_of(message, n)}, &rw);
    }
    source_frames_encode(&(struct source_frames){.n = n, .raw = writer_slice(&rw)}, &w);
    (void)sources_on_client_message(sources, now_us, PUBLISHER, SOURCE_MSG_FRAMES,
                                    writer_slice(&w));
}

static struct slice tap_make(uint8_t kind, uint8_t *bytes, size_t size)
{
    struct writer w = writer_of(bytes, size);
    source_tap_encode(&(struct source_tap){.name = slice_text("wx"),
                                           .from = 1 + kind % 6,
                                           .policy = 1 + kind / 6 % 3,
                                           .sample = 3,
                                           .value = kind,
                                           .credit = {kind * 20u, kind}},
                      &w);
    return writer_slice(&w);
}

static void open_one(uint8_t kind)
{
    static const struct cert_facts from;
    uint8_t bytes[128];
    if (!has_reader && (kind & 1) != 0) {
        has_reader = true;
        sources_on_stream(sources, now_us, &from, READER);
        (void)sources_on_stream_message(sources, now_us, READER, SOURCE_MSG_TAP,
                                        tap_make(kind / 2, bytes, sizeof(bytes)));
    } else if (!has_client[1]) {
        has_client[1] = true;
        sources_on_client(sources, now_us, TAPPER, "ann", 1);
        (void)sources_on_client_message(sources, now_us, TAPPER, SOURCE_MSG_TAP,
                                        tap_make(kind / 2, bytes, sizeof(bytes)));
    }
}

static void task_step(uint8_t a)
{
    struct slice bytes;
    if (task == NULL) {
        task = sources_task_open(sources, now_us, &core.self.id, slice_text("wx"));
    } else if ((a & 1) != 0) {
        (void)sources_task_bytes(task, &bytes);
        sources_task_consume(sources, task, IPX_MIN(bytes.len, (size_t)a));
    } else {
        sources_task_close(sources, task);
        task = NULL;
    }
}

static void from_publisher(uint8_t op, struct slice in)
{
    const struct core_stream *s = core_stream_find(&core, tap_handle);
    if (s != NULL && s->kind == CORE_STREAM_SOURCE && op < 8) {
        sources_on_tap_message(sources, now_us, s->user, (uint8_t)(168 + op), in);
    } else if (s != NULL && s->kind == CORE_STREAM_SOURCE) {
        sources_on_tap_closed(sources, now_us, s->user, IPX_CLOSED);
    }
}

static void closed(uint8_t a)
{
    if (a % 3 == 0) {
        has_client[0] = false;
        (void)sources_on_client_closed(sources, now_us, PUBLISHER);
    } else if (a % 3 == 1) {
        has_client[1] = false;
        (void)sources_on_client_closed(sources, now_us, TAPPER);
    } else {
        has_reader = false;
        (void)sources_on_stream_closed(sources, now_us, READER);
    }
}

static void operate(uint8_t op, struct slice in)
{
    uint8_t a = in.len > 0 ? in.data[0] : 0;
    static const uint32_t handles[] = {PUBLISHER, TAPPER};
    switch (op % 10) {
    case 0:
        publish(a);
        break;
    case 1:
        frames(a);
        break;
    case 2:
        open_one(a);
        break;
    case 3:
        (void)sources_on_client_message(sources, now_us, handles[op / 10 % 2],
                                        (uint8_t)(160 + op / 20), in);
        break;
    case 4:
        (void)sources_on_stream_message(sources, now_us, READER, (uint8_t)(160 + op / 20), in);
        break;
    case 5:
    case 6:
        from_publisher(op / 10 % 10, in);
        break;
    case 7:
        task_step(a);
        break;
    case 8:
        closed(a);
        break;
    default:
        now_us += (uint64_t)1 << a % 28;
        sources_tick(sources, now_us);
        break;
    }
}

static void self_make(struct mem *mem)
{
    const struct exec_vitals vitals = {.is_known = true};
    struct ad_builder *b = ad_builder_new(mem);
    struct ad *ad;
    enum ipx_err err = ad_builder_finish(b, &ad);
    assert(err == IPX_OK);
    ad_builder_free(b);
    struct match_peer *p = match_set(&core.match, now_us, &core.self, ad, &vitals, 0);
    assert(p != NULL);
    ad_unref(ad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    mem_init(&mem, 64u << 20);
    now_us = US_PER_S;
    tap_handle = 0;
    task = NULL;
    has_client[0] = has_client[1] = has_reader = false;
    memset(&core, 0, sizeof(core));
    core.mem = &mem;
    core.self = (struct cert_facts){.caps = CERT_ROLE_NODE, .lab = "bio", .name = "n"};
    match_init(&core.match, &mem);
    out_init(&core.out, &mem);
    self_make(&mem);
    static struct exec_scratch scratch;
    core.scratch = &scratch;
    enum ipx_err err = sources_new(&core, &sources);
    assert(err == IPX_OK);
    for (size_t at = 0; at + 2 <= size;) {
        size_t len = IPX_MIN((size_t)data[at + 1], size - at - 2);
        operate(data[at], slice_of(data + at + 2, len));
        drain();
        at += 2 + len;
    }
    sources_free(sources);
    match_done(&core.match);
    out_done(&core.out);
    assert(mem.used == 0 && core.n_streams == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile peer against one mux that is in use. The input is a script: an op byte, then its
 * arguments; op 0 brings up to 255 raw bytes of the script itself as bytes of the pipe.
 */
#include "node/mux.h"
#include "node/mux_core.h"

#define IDS_MAX 64

struct script {
    struct reader in;
    struct mem mem;
    struct mux *mux;
    uint64_t now_us;
    uint32_t ids[IDS_MAX]; /* streams the user knows, a ring */
    size_t n_ids;
    bool is_eager; /* consumes what it is shown */
    bool is_failed;
};

static void learn(struct script *s, uint32_t id)
{
    s->ids[s->n_ids++ % IDS_MAX] = id;
}

static uint32_t pick(struct script *s)
{
    uint8_t k = reader_u8(&s->in);
    return s->n_ids == 0 ? k : s->ids[k % IPX_MIN(s->n_ids, IDS_MAX)];
}

static void drain(struct script *s)
{
    struct mux_event e;
    while (mux_poll(s->mux, &e)) {
        assert(!s->is_failed);
        s->is_failed = e.type == MUX_EVENT_ERROR;
        if (e.type == MUX_EVENT_OPENED) {
            learn(s, e.stream);
        } else if (e.type == MUX_EVENT_DATA && s->is_eager) {
            mux_consume(s->mux, e.stream, e.data.len);
        }
        mux_check(s->mux);
    }
}

static void send(struct script *s, uint32_t id)
{
    static const uint8_t bytes[70000];
    const struct mux_stream *stream = mux_find(s->mux, id);
    size_t len = (size_t)reader_u8(&s->in) * 270;
    if (stream == NULL || stream->is_fin_asked) {
        return; /* the user knows better than to send after mux_finish() */
    }
    size_t n = mux_send(s->mux, id, slice_of(bytes, len));
    assert(n <= len);
}

static void output(struct script *s)
{
    static uint8_t out[70000];
    size_t max = MUX_OUTPUT_MIN + (size_t)reader_u8(&s->in) * 260;
    size_t n = mux_output(s->mux, s->now_us, out, max);
    assert(n <= max);
    struct reader r = reader_of(slice_of(out, n));
    while (reader_left(&r) > 0) { /* whole frames, each of a known shape */
        struct mux_frame f;
        enum ipx_err err = mux_frame_decode(reader_bytes(&r, MUX_HEADER_LEN).data, &f);
        assert(err == IPX_OK);
        (void)reader_bytes(&r, f.length);
        assert(!r.failed);
    }
}

static void step(struct script *s, uint8_t op)
{
    uint32_t id;
    switch (op % 10) {
    case 0:
    case 1:
        mux_recv(s->mux, s->now_us,
                 reader_bytes(&s->in, IPX_MIN(reader_u8(&s->in), reader_left(&s->in))));
        break;
    case 2:
        if (mux_open(s->mux, op, (enum mux_class)(op % MUX_CLASS_N), op, &id) == IPX_OK) {
            learn(s, id);
        }
        break;
    case 3:
        send(s, pick(s));
        break;
    case 4:
        output(s);
        break;
    case 5:
        mux_finish(s->mux, pick(s));
        break;
    case 6:
        mux_reset(s->mux, pick(s), IPX_STALE);
        break;
    case 7:
        id = pick(s);
        mux_consume(s->mux, id, mux_peek(s->mux, id).len);
        s->is_eager = op >= 128;
        break;
    case 8:
        s->now_us += (uint64_t)reader_u8(&s->in) * 50 * US_PER_MS;
        mux_tick(s->mux, s->now_us);
        mux_ping(s->mux);
        break;
    default:
        s->mem.fail_after = op == 9 ? 0 : op == 19 ? 2 : UINT64_MAX;
        if (op == 249) {
            mux_goaway(s->mux, IPX_BUSY);
        }
        break;
    }
    drain(s);
    mux_check(s->mux);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {.in = reader_of(slice_of(data, size)), .now_us = 1, .is_eager = true};
    mem_init(&s.mem, SIZE_MAX);
    struct mux_config config = {.role = MUX_ACCEPTOR, .mem = &s.mem, .streams_max = 100};
    enum ipx_err err = mux_new(&config, &s.mux);
    assert(err == IPX_OK);
    while (reader_left(&s.in) > 0) {
        step(&s, reader_u8(&s.in));
    }
    assert(s.mem.peak < (size_t)64 << 20);
    mux_free(s.mux);
    assert(s.mem.used == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mux_fixture.h"

#include "base/id.h"

/* The naive model: a stream is a counter of bytes in each direction, and byte `at` of what end
 * `from` says on stream `id` is a function of these three. */

#define MODEL_STREAMS 64

struct model {
    uint32_t id;
    bool is_known[2]; /* by end: it may use the id */
    size_t n_sent[2]; /* by sender */
    size_t n_got[2];  /* by sender, consumed by the other */
    bool is_finished[2];
    bool is_fin_seen[2];
    bool is_dead; /* reset by somebody: no more is promised */
};

static uint8_t pattern(uint32_t id, int from, size_t at)
{
    return (uint8_t)((at * 31 + id * 7 + (size_t)from * 101 + (at >> 8)) & 0xff);
}

struct world {
    struct pair pair;
    struct model models[MODEL_STREAMS];
    size_t n_models;
    bool is_lazy; /* consumers leave bytes behind now and then */
};

static struct model *world_find(struct world *w, uint32_t id)
{
    for (size_t i = 0; i < w->n_models; i++) {
        if (w->models[i].id == id) {
            return &w->models[i];
        }
    }
    CHECK_FAIL("unknown stream");
    return NULL;
}

static void world_consume(struct world *w, int to, struct model *s, struct slice data)
{
    size_t n = data.len;
    if (w->is_lazy && rng_chance(&w->pair.rng, 500)) {
        n = (size_t)rng_below(&w->pair.rng, data.len + 1);
    }
    size_t at = s->n_got[1 - to];
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ(data.data[i], pattern(s->id, 1 - to, at + i));
    }
    s->n_got[1 - to] += n;
    CHECK(s->n_got[1 - to] <= s->n_sent[1 - to]);
    mux_consume(w->pair.ends[to].mux, s->id, n);
}

static void world_event(struct world *w, int to, const struct mux_event *e)
{
    struct model *s = e->stream == 0 ? NULL : world_find(w, e->stream);
    switch (e->type) {
    case MUX_EVENT_OPENED:
        CHECK(!s->is_known[to]);
        CHECK_EQ(e->protocol, e->stream % 9);
        CHECK_EQ(e->class, e->stream % MUX_CLASS_N);
        s->is_known[to] = true;
        mux_set_cookie(w->pair.ends[to].mux, e->stream, e->stream + 5);
        return;
    case MUX_EVENT_DATA:
        CHECK(!s->is_fin_seen[to]);
        CHECK(e->data.len > 0);
        CHECK_EQ(e->cookie, e->stream + 5);
        world_consume(w, to, s, e->data);
        return;
    case MUX_EVENT_FINISHED:
        CHECK(s->is_finished[1 - to]);
        CHECK_EQ(s->n_got[1 - to], s->n_sent[1 - to]);
        s->is_fin_seen[to] = true;
        return;
    case MUX_EVENT_RESET:
        CHECK(s->is_dead);
        CHECK_EQ(e->code, IPX_STALE);
        return;
    case MUX_EVENT_WRITABLE:
    case MUX_EVENT_PONG:
        return;
    case MUX_EVENT_GOAWAY:
    case MUX_EVENT_ERROR:
        break;
    }
    CHECK_FAIL("unexpected event %d: %s", (int)e->type, e->why == NULL ? "" : e->why);
}

static void world_deliver(struct world *w, int to, size_t n)
{
    struct end *end = &w->pair.ends[to];
    if (end->in.len == 0) {
        return;
    }
    mux_recv(end->mux, w->pair.now_us, pipe_take(&end->in, n));
    struct mux_event e;
    while (mux_poll(end->mux, &e)) {
        world_event(w, to, &e);
        mux_check(end->mux);
    }
}

static void world_open(struct world *w, int i)
{
    if (w->n_models == MODEL_STREAMS) {
        return;
    }
    uint32_t id, guess = 0;
    /* protocol and class follow from the id, which is known in advance */
    for (size_t k = 0; k < w->n_models; k++) {
        guess += w->models[k].id % 2 == (i == 0 ? 1u : 0u);
    }
    guess = guess * 2 + (i == 0 ? 1 : 2);
    CHECK_OK(mux_open(w->pair.ends[i].mux, (uint16_t)(guess % 9),
                      (enum mux_class)(guess % MUX_CLASS_N), guess + 5, &id));
    CHECK_EQ(id, guess);
    w->models[w->n_models] = (struct model){.id = id};
    w->models[w->n_models++].is_known[i] = true;
}

static void world_send(struct world *w, int i, struct model *s, size_t len)
{
    uint8_t bytes[3000];
    len = IPX_MIN(len, sizeof(bytes));
    for (size_t k = 0; k < len; k++) {
        bytes[k] = pattern(s->id, i, s->n_sent[i] + k);
    }
    struct mux *m = w->pair.ends[i].mux;
    if (rng_chance(&w->pair.rng, 500)) {
        s->n_sent[i] += mux_send(m, s->id, slice_of(bytes, len));
    } else if (mux_send_message(m, s->id, slice_of(bytes, len / 3),
                                slice_of(bytes + len / 3, len - len / 3))) {
        s->n_sent[i] += len;
    }
}

static void world_act(struct world *w)
{
    struct pair *p = &w->pair;
    int i = (int)rng_below(&p->rng, 2);
    uint64_t what = rng_below(&p->rng, 100);
    if (what < 6) {
        world_open(w, i);
    } else if (what < 50 && w->n_models > 0) {
        struct model *s = &w->models[rng_below(&p->rng, w->n_models)];
        if (!s->is_known[i] || s->is_finished[i] || s->is_dead) {
            return;
        }
        uint64_t then = rng_below(&p->rng, 100);
        if (then < 3) {
            s->is_finished[i] = true;
            mux_finish(p->ends[i].mux, s->id);
        } else if (then == 3) {
            s->is_dead = true;
            mux_reset(p->ends[i].mux, s->id, IPX_STALE);
        } else {
            world_send(w, i, s, (size_t)rng_below(&p->rng, 3000));
        }
    } else if (what < 75) {
        if (p->ends[1 - i].in.len < PIPE_MAX / 2) {
            (void)pair_pull(p, i, MUX_OUTPUT_MIN + (size_t)rng_below(&p->rng, 20000));
        }
    } else if (what < 76) {
        mux_ping(p->ends[i].mux);
        p->now_us += 200000;
    } else {
        world_deliver(w, i, rng_chance(&p->rng, 100) ? 1 : (size_t)rng_below(&p->rng, 9000));
    }
    mux_check(p->ends[i].mux);
}

/* Lets all that was begun come to its end. */
static void world_settle(struct world *w)
{
    w->is_lazy = false;
    for (size_t k = 0; k < w->n_models; k++) {
        struct model *s = &w->models[k];
        for (int i = 0; i < 2; i++) {
            struct mux *m = w->pair.ends[i].mux;
            struct slice left = mux_peek(m, s->id);
            if (left.len > 0) {
                world_consume(w, i, s, left);
            }
        }
    }
    for (int round = 0; round < 4000; round++) {
        size_t n = 0;
        w->pair.now_us += 20000;
        for (int i = 0; i < 2; i++) {
            for (size_t k = 0; k < w->n_models && round > 0; k++) {
                struct model *s = &w->models[k];
                if (s->is_known[i] && !s->is_dead && !s->is_finished[i]) {
                    s->is_finished[i] = true;
                    mux_finish(w->pair.ends[i].mux, s->id);
                }
            }
            n += pair_pull(&w->pair, i, OUT_MAX);
            world_deliver(w, 1 - i, SIZE_MAX);
            world_deliver(w, i, SIZE_MAX);
            struct mux_event e;
            while (mux_poll(w->pair.ends[i].mux, &e)) {
                world_event(w, i, &e);
            }
        }
        if (n == 0 && round > 10 && mux_n_streams(w->pair.ends[0].mux) == 0) {
            break;
        }
    }
}

static void world_run(uint64_t seed)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    pair_init(&w.pair, seed);
    w.is_lazy = true;
    for (int step = 0; step < 3000; step++) {
        world_act(&w);
    }
    world_settle(&w);
    for (size_t k = 0; k < w.n_models; k++) {
        const struct model *s = &w.models[k];
        if (!s->is_dead) {
            CHECK(s->is_fin_seen[0] && s->is_fin_seen[1]);
            CHECK_EQ(s->n_got[0], s->n_sent[0]);
            CHECK_EQ(s->n_got[1], s->n_sent[1]);
        }
    }
    CHECK_EQ(mux_n_streams(w.pair.ends[0].mux), 0);
    CHECK_EQ(mux_n_streams(w.pair.ends[1].mux), 0);
    pair_done(&w.pair);
}

TEST(node_mux, agrees_with_the_naive_model)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world_run(seed);
    }
}

/* Bytes */

static void say(struct pair *p, int i, const char *want_hex)
{
    char hex[1024];
    struct pipe *pipe = &p->ends[1 - i].in;
    pipe->len = 0;
    (void)pair_pull(p, i, 4096);
    CHECK(pipe->len * 2 < sizeof(hex));
    hex_encode(slice_of(pipe->bytes, pipe->len), hex);
    CHECK_STR(hex, want_hex);
}

TEST(node_mux, golden_bytes_of_each_frame)
{
    struct pair p;
    uint32_t id;
    pair_init(&p, 1);
    struct mux *a = p.ends[0].mux, *b = p.ends[1].mux;
    CHECK_OK(mux_open(a, 0x0203, MUX_CLASS_RESULT, 7, &id));
    CHECK_EQ(id, 1);
    CHECK_EQ(mux_send(a, id, slice_text("hello")), 5);
    say(&p, 0,
        "0800000600000000000200000400"     /* SETTINGS 2 = 1,024 */
        "01000008000000010203030000100000" /* OPEN 1: protocol, class 3, 1 MiB */
        "020000050000000168656c6c6f");     /* DATA */
    struct mux_event e = expect(&p, 1, MUX_EVENT_OPENED);
    CHECK_EQ(e.protocol, 0x0203);
    CHECK_EQ(e.class, MUX_CLASS_RESULT);
    e = expect(&p, 1, MUX_EVENT_DATA);
    CHECK(slice_equal(e.data, slice_text("hello")));
    mux_consume(b, 1, 5);
    expect_nothing(&p, 1);
    say(&p, 1,
        "0800000600000000000200000400"
        "030100040000000100000000"); /* WINDOW with ACK: the OPEN is taken */
    expect_nothing(&p, 0);
    mux_finish(a, id);
    say(&p, 0, "0400000000000001"); /* FIN */
    (void)expect(&p, 1, MUX_EVENT_FINISHED);
    mux_reset(b, 1, IPX_STALE);
    say(&p, 1, "05000004000000010000000a"); /* RESET, 10 = STALE */
    e = expect(&p, 0, MUX_EVENT_RESET);
    CHECK_EQ(e.code, IPX_STALE);
    CHECK_EQ(e.cookie, 7);
    mux_ping(a);
    say(&p, 0, "06000008000000000000000000000001"); /* PING */
    p.now_us += 1234;
    expect_nothing(&p, 1);
    say(&p, 1, "06010008000000000000000000000001"); /* its answer */
    p.now_us += 1000;
    e = expect(&p, 0, MUX_EVENT_PONG);
    CHECK_EQ(e.rtt_us, 2234);
    mux_goaway(b, IPX_BUSY);
    say(&p, 1, "07000008000000000000000100000017"); /* GOAWAY after stream 1, 23 = BUSY */
    e = expect(&p, 0, MUX_EVENT_GOAWAY);
    CHECK_EQ(e.code, IPX_BUSY);
    uint8_t farewell[MUX_FAREWELL_LEN], want[MUX_FAREWELL_LEN];
    mux_farewell(b, IPX_BUSY, farewell);
    size_t len;
    CHECK_OK(hex_decode(slice_text("07000008000000000000000100000017"), want, sizeof(want), &len));
    CHECK_MEM(farewell, want, sizeof(want));
    pair_done(&p);
}

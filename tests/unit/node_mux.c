/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "base/rng.h"
#include "node/mux.h"
#include "node/mux_core.h"

/* Two muxes and the pipes between them */

#define PIPE_MAX (4u << 20)
#define OUT_MAX 65536

struct pipe {
    uint8_t *bytes;
    size_t len;
};

struct end {
    struct mux *mux;
    struct pipe in; /* sent by the other end, not yet delivered */
};

struct pair {
    struct mem mem;
    struct rng rng;
    uint64_t now_us;
    struct end ends[2];
};

static void pair_init(struct pair *p, uint64_t seed)
{
    mem_init(&p->mem, SIZE_MAX);
    rng_init_int(&p->rng, seed);
    p->now_us = 1000000;
    for (int i = 0; i < 2; i++) {
        struct mux_config config = {.role = i == 0 ? MUX_DIALLER : MUX_ACCEPTOR, .mem = &p->mem};
        CHECK_OK(mux_new(&config, &p->ends[i].mux));
        p->ends[i].in = (struct pipe){.bytes = malloc(PIPE_MAX)};
    }
}

static void pair_done(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        mux_free(p->ends[i].mux);
        free(p->ends[i].in.bytes);
    }
    CHECK_EQ(p->mem.used, 0);
}

/* Moves what end `i` has to say to the other end's pipe. */
static size_t pair_pull(struct pair *p, int i, size_t max)
{
    struct pipe *pipe = &p->ends[1 - i].in;
    CHECK(pipe->len + max <= PIPE_MAX);
    size_t n = mux_output(p->ends[i].mux, p->now_us, pipe->bytes + pipe->len, max);
    pipe->len += n;
    return n;
}

/* The next `n` bytes of the pipe, taken out of it. */
static struct slice pipe_take(struct pipe *pipe, size_t n)
{
    static uint8_t taken[PIPE_MAX];
    n = IPX_MIN(n, pipe->len);
    memcpy(taken, pipe->bytes, n);
    memmove(pipe->bytes, pipe->bytes + n, pipe->len - n);
    pipe->len -= n;
    return slice_of(taken, n);
}

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

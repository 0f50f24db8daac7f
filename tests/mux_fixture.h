/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two muxes and the pipes between them, for the tests of the mux.
 */
#include "base/rng.h"
#include "node/mux.h"
#include "node/mux_core.h"
#include "tests/harness.h"

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

static inline void pair_init(struct pair *p, uint64_t seed)
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

static inline void pair_done(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        mux_free(p->ends[i].mux);
        free(p->ends[i].in.bytes);
    }
    CHECK_EQ(p->mem.used, 0);
}

/* Moves what end `i` has to say to the other end's pipe. */
static inline size_t pair_pull(struct pair *p, int i, size_t max)
{
    struct pipe *pipe = &p->ends[1 - i].in;
    CHECK(pipe->len + max <= PIPE_MAX);
    size_t n = mux_output(p->ends[i].mux, p->now_us, pipe->bytes + pipe->len, max);
    pipe->len += n;
    return n;
}

/* The next `n` bytes of the pipe, taken out of it. */
static inline struct slice pipe_take(struct pipe *pipe, size_t n)
{
    static uint8_t taken[PIPE_MAX];
    n = IPX_MIN(n, pipe->len);
    memcpy(taken, pipe->bytes, n);
    memmove(pipe->bytes, pipe->bytes + n, pipe->len - n);
    pipe->len -= n;
    return slice_of(taken, n);
}

static inline struct mux_event expect(struct pair *p, int to, enum mux_event_type type)
{
    struct mux_event e = {.stream = 0};
    struct end *end = &p->ends[to];
    if (end->in.len > 0) {
        mux_recv(end->mux, p->now_us, pipe_take(&end->in, SIZE_MAX));
    }
    CHECK(mux_poll(end->mux, &e));
    CHECK_EQ(e.type, type);
    return e;
}

static inline void expect_nothing(struct pair *p, int to)
{
    struct mux_event e;
    struct end *end = &p->ends[to];
    if (end->in.len > 0) {
        mux_recv(end->mux, p->now_us, pipe_take(&end->in, SIZE_MAX));
    }
    CHECK(!mux_poll(end->mux, &e));
}

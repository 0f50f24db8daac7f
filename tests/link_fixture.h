/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two nodes, ada (plain chain) and bob (admitted by ada), and a link between them over memory
 * pipes: for the tests, fuzz targets and benches of links. Same seed, same bytes.
 */
#include "node/link_core.h"
#include "tests/cert_fixture.h"

#define LF_PIPE_MAX (1u << 20)
#define LF_EVENTS_MAX 4096

struct lf_host {
    struct mem mem;
    struct rng rng;
    struct handshake_self self;
    struct chains chains;
    struct clocks clocks;
    struct link_context context;
};

struct lf_end {
    struct link *link;
    uint8_t *in; /* written by the other end, not yet delivered */
    size_t in_len;
    struct link_event down; /* if it came */
    uint32_t n_up, n_down, n_opened, n_finished, n_reset, last_opened;
    enum ipx_err last_reset;
    size_t n_data;
};

struct lf {
    struct fx fx;
    struct lf_host hosts[2]; /* 0: the dialler, bob; 1: the answerer, ada */
    struct lf_end ends[2];
    struct rng rng; /* of segmentation */
    uint64_t now_us;
    bool is_leaving; /* data is left unconsumed */
};

static inline void lf_host_init(struct lf_host *h, const struct fx *fx,
                                const struct crypt_keypair *key, struct slice chain,
                                struct slice admitter_chain)
{
    static const uint8_t gate[1][32] = {{7, 7, 7}};
    static const uint8_t secret[16] = {1};
    mem_init(&h->mem, SIZE_MAX);
    rng_init_int(&h->rng, key->pk.bytes[0]);
    struct handshake_self_options options = {
        .key = key, .mesh = &fx->mesh.mesh, .gates = gate, .n_gates = 1};
    handshake_self_init(&h->self, &options);
    enum ipx_err err = chains_init(&h->chains, &h->mem, &fx->mesh.mesh, 16, secret);
    assert(err == IPX_OK);
    err = clocks_init(&h->clocks, &h->mem, 16, secret);
    assert(err == IPX_OK);
    h->context = (struct link_context){.mem = &h->mem,
                                       .rng = &h->rng,
                                       .self = &h->self,
                                       .chains = &h->chains,
                                       .clocks = &h->clocks,
                                       .wall_offset_ms = FX_WALL + 3 * FX_HOUR,
                                       .chain = chain,
                                       .admitter_chain = admitter_chain};
}

static inline void lf_host_done(struct lf_host *h)
{
    chains_done(&h->chains);
    clocks_done(&h->clocks);
    handshake_self_done(&h->self);
    assert(h->mem.used == 0);
}

/* The hosts alone. */
static inline void lf_init(struct lf *f, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    fx_init(&f->fx);
    f->now_us = 10 * US_PER_S;
    rng_init_int(&f->rng, seed);
    lf_host_init(&f->hosts[0], &f->fx, &f->fx.bob, f->fx.bob_chain, f->fx.ada_chain);
    lf_host_init(&f->hosts[1], &f->fx, &f->fx.ada, f->fx.ada_chain, SLICE_EMPTY);
    for (int i = 0; i < 2; i++) {
        f->ends[i].in = malloc(LF_PIPE_MAX);
    }
}

/* A link from bob to `peer`, answered by ada. */
static inline void lf_connect(struct lf *f, const struct node_id *peer)
{
    struct link_config config = {
        .context = &f->hosts[0].context, .role = LINK_DIALLER, .peer = *peer, .cookie = 1};
    enum ipx_err err = link_new(&config, f->now_us, &f->ends[0].link);
    assert(err == IPX_OK);
    config =
        (struct link_config){.context = &f->hosts[1].context, .role = LINK_ANSWERER, .cookie = 2};
    config.observed = (struct addr){.family = ADDR_V4, .ip = {192, 0, 2, 9}, .port = 4000};
    err = link_new(&config, f->now_us, &f->ends[1].link);
    assert(err == IPX_OK);
}

static inline void lf_local(struct lf *f)
{
    struct link_config config = {.context = &f->hosts[0].context, .role = LINK_LOCAL_CLIENT};
    enum ipx_err err = link_new(&config, f->now_us, &f->ends[0].link);
    assert(err == IPX_OK);
    config = (struct link_config){.context = &f->hosts[1].context, .role = LINK_LOCAL_NODE};
    err = link_new(&config, f->now_us, &f->ends[1].link);
    assert(err == IPX_OK);
}

static inline void lf_done(struct lf *f)
{
    for (int i = 0; i < 2; i++) {
        link_free(f->ends[i].link);
        lf_host_done(&f->hosts[i]);
        free(f->ends[i].in);
    }
}

static inline void lf_on_stream(struct lf *f, int i, const struct mux_event *e)
{
    struct lf_end *end = &f->ends[i];
    if (e->type == MUX_EVENT_OPENED) {
        end->n_opened++;
        end->last_opened = e->stream;
    } else if (e->type == MUX_EVENT_DATA && !f->is_leaving) {
        end->n_data += e->data.len;
        mux_consume(link_mux(end->link), e->stream, e->data.len);
    } else if (e->type == MUX_EVENT_FINISHED) {
        end->n_finished++;
    } else if (e->type == MUX_EVENT_RESET) {
        end->n_reset++;
        end->last_reset = e->code;
    }
}

static inline void lf_drain(struct lf *f, int i)
{
    struct lf_end *end = &f->ends[i];
    struct link_event e;
    while (link_poll(end->link, &e)) {
        link_check(end->link);
        assert(end->n_down == 0);
        if (e.type == LINK_EVENT_UP) {
            end->n_up++;
        } else if (e.type == LINK_EVENT_DOWN) {
            end->n_down++;
            end->down = e;
        } else {
            lf_on_stream(f, i, &e.stream);
        }
    }
}

/* What end `i` has to write goes to the other's pipe; returns how much. */
static inline size_t lf_write(struct lf *f, int i, size_t max)
{
    struct lf_end *to = &f->ends[1 - i];
    assert(LF_PIPE_MAX - to->in_len >= max);
    size_t n = link_output(f->ends[i].link, f->now_us, to->in + to->in_len, max);
    to->in_len += n;
    lf_drain(f, i);
    return n;
}

/* Brings end `i` the next `n` bytes of its pipe, in memory of exactly that size. */
static inline void lf_read(struct lf *f, int i, size_t n)
{
    struct lf_end *end = &f->ends[i];
    n = IPX_MIN(n, end->in_len);
    uint8_t *bytes = malloc(n + 1);
    memcpy(bytes, end->in, n);
    memmove(end->in, end->in + n, end->in_len - n);
    end->in_len -= n;
    link_recv(end->link, f->now_us, slice_of(bytes, n));
    lf_drain(f, i);
    free(bytes);
}

/* Runs both ends until nothing moves; `segment` bytes at a time, 0 = random. */
static inline void lf_run(struct lf *f, size_t segment)
{
    for (;;) {
        size_t n = lf_write(f, 0, LINK_OUTPUT_MIN) + lf_write(f, 1, LINK_OUTPUT_MIN);
        for (int i = 0; i < 2; i++) {
            while (f->ends[i].in_len > 0) {
                lf_read(f, i, segment > 0 ? segment : 1 + (size_t)rng_below(&f->rng, 3000));
                n++;
            }
        }
        if (n == 0) {
            return;
        }
    }
}

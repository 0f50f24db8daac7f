/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A few session planes in memory, joined by a network with delay, loss and reordering,
 * under one virtual clock: for the tests and fuzz targets of node/session.
 */
#include <stdlib.h>

#include "node/session.h"
#include "tests/cert_fixture.h"

#ifndef CHECK /* without tests/harness.h: fuzz targets */
#define CHECK(cond) assert(cond)
#define CHECK_OK(err) assert((err) == IPX_OK)
#define CHECK_EQ(a, b) assert((a) == (b))
#endif

#define SW_NODES 3
#define SW_FLIGHT 4096 /* packets on their way */
#define SW_EVENTS 256  /* actions kept for a test to look at */
#define SW_FIND_NODE 16
#define SW_NODES_FOUND 17
#define SW_DELAY_US (10 * US_PER_MS)

struct sw_event {
    struct session_action a; /* pointers are not valid: facts are copied below */
    struct cert_facts facts;
    bool has_facts;
    char text[64]; /* start of the body */
};

struct sw_node {
    struct mem mem;
    struct chains chains;
    struct crypt_keypair key;
    uint8_t chain[CERT_CHAIN_MAX];
    size_t chain_len;
    struct session_plane *plane;
    struct addr addr;   /* what others see; a test may change it (roaming) */
    bool answers_early; /* FIND_NODE is answered with "found" */
    struct sw_event events[SW_EVENTS];
    size_t n_events;
    size_t n_sent, n_sent_bytes; /* packets it sent */
};

struct sw_packet {
    uint64_t due_us, order;
    struct addr from, to;
    size_t len;
    uint8_t bytes[HANDSHAKE_DATAGRAM_MAX];
};

struct sw {
    struct fx fx;
    uint64_t now_us;
    struct rng rng;
    unsigned loss_permille, jitter_ms;
    bool is_held; /* packets stay in `flight` until let go */
    struct sw_node nodes[SW_NODES];
    struct sw_packet *flight;
    size_t n_flight;
    uint64_t n_packets;
    struct sw_packet last[8]; /* the last packet of each type */
};

static inline int64_t sw_wall(const struct sw *w)
{
    return FX_WALL + FX_HOUR + (int64_t)(w->now_us / US_PER_MS);
}

static inline void sw_cert(struct sw *w, int i)
{
    static const char *const names[SW_NODES] = {"ada", "ben", "cem"};
    struct sw_node *n = &w->nodes[i];
    uint8_t bytes[CERT_BYTES_MAX];
    struct cert cert = {.kind = CERT_KIND_NODE,
                        .mesh = w->fx.mesh.mesh,
                        .subject = n->key.pk,
                        .admitter = w->fx.issuer.pk,
                        .birth_issuer = w->fx.issuer.pk,
                        .birth_serial = (uint64_t)(100 + i),
                        .admitted_ms = FX_WALL,
                        .grant = {.serial = (uint64_t)(100 + i),
                                  .caps = CERT_ROLE_NODE,
                                  .lab = "astro",
                                  .not_before_ms = FX_WALL,
                                  .not_after_ms = FX_WALL + CERT_NODE_LIFE_MS}};
    memcpy(cert.name, names[i], 4);
    cert.nonce[0] = (uint8_t)i;
    struct writer b = writer_of(bytes, sizeof bytes);
    CHECK_OK(cert_issue(&w->fx.mesh.signer, &cert, FX_WALL, &b));
    struct writer c = writer_of(n->chain, sizeof n->chain);
    cert_chain_put_plain(&c, writer_slice(&b), w->fx.issuer_cert);
    CHECK(!c.failed);
    n->chain_len = c.len;
}

static const uint8_t sw_gate[1][32] = {{7, 7, 7}};

/* (Re)starts node i with an empty memory; `ticket` empty: with its chain. */
static inline void sw_start(struct sw *w, int i, struct slice ticket)
{
    struct sw_node *n = &w->nodes[i];
    uint8_t secret[16] = {(uint8_t)i};
    session_plane_free(n->plane);
    chains_done(&n->chains);
    n->plane = NULL;
    CHECK_OK(chains_init(&n->chains, &n->mem, &w->fx.mesh.mesh, CHAINS_MAX, secret));
    struct session_config config = {.mem = &n->mem,
                                    .key = &n->key,
                                    .mesh = w->fx.mesh.mesh,
                                    .gates = sw_gate,
                                    .n_gates = 1,
                                    .chains = &n->chains,
                                    .early_types = SESSION_TYPE_BIT(SW_FIND_NODE)};
    config.seed[0] = (uint8_t)(i + 1);
    config.seed[1] = (uint8_t)(w->now_us / US_PER_S); /* a restarted node draws other numbers */
    if (ticket.len > 0) {
        config.ticket = ticket;
    } else {
        config.chain = slice_of(n->chain, n->chain_len);
    }
    CHECK_OK(session_plane_new(&config, w->now_us, sw_wall(w), &n->plane));
}

static inline void sw_init(struct sw *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    fx_init(&w->fx);
    rng_init_int(&w->rng, seed);
    w->now_us = US_PER_S;
    w->flight = calloc(SW_FLIGHT, sizeof *w->flight);
    for (int i = 0; i < SW_NODES; i++) {
        struct sw_node *n = &w->nodes[i];
        uint8_t key_seed[32];
        mem_init(&n->mem, SIZE_MAX);
        n->key = fx_key((uint8_t)(0x20 + i), key_seed);
        n->addr = (struct addr){.family = ADDR_V4, .ip = {10, 0, (uint8_t)i, 1}, .port = 7433};
        n->answers_early = true;
        sw_cert(w, i);
        sw_start(w, i, SLICE_EMPTY);
    }
}

static inline void sw_done(struct sw *w)
{
    for (int i = 0; i < SW_NODES; i++) {
        session_plane_free(w->nodes[i].plane);
        chains_done(&w->nodes[i].chains);
        CHECK_EQ(w->nodes[i].mem.used, 0);
    }
    free(w->flight);
}

/* Puts a packet on its way, as if sent from `from`. */
static inline void sw_post(struct sw *w, const struct addr *from, const struct addr *to,
                           struct slice bytes)
{
    CHECK(bytes.len <= HANDSHAKE_DATAGRAM_MAX && w->n_flight < SW_FLIGHT);
    struct sw_packet *k = &w->flight[w->n_flight++];
    k->due_us = w->now_us + SW_DELAY_US;
    if (w->jitter_ms > 0) {
        k->due_us += rng_below(&w->rng, w->jitter_ms * US_PER_MS);
    }
    k->order = w->n_packets++;
    k->from = *from;
    k->to = *to;
    k->len = bytes.len;
    if (bytes.len > 0) {
        memcpy(k->bytes, bytes.data, bytes.len);
    }
}

static inline void sw_note(struct sw_node *n, const struct session_action *a)
{
    CHECK(n->n_events < SW_EVENTS);
    struct sw_event *e = &n->events[n->n_events++];
    *e = (struct sw_event){.a = *a, .has_facts = a->facts != NULL};
    if (a->facts != NULL) {
        e->facts = *a->facts;
    }
    memcpy(e->text, a->body.data, IPX_MIN(a->body.len, sizeof e->text - 1));
}

static inline void sw_answer(struct sw *w, struct sw_node *n, const struct session_action *a)
{
    struct session_message m = {.peer = a->peer,
                                .type = SW_NODES_FOUND,
                                .request_id = a->request_id,
                                .body = slice_text("found")};
    CHECK(a->room_max >= 5);
    CHECK_OK(session_send(n->plane, w->now_us, &m));
}

static inline void sw_drain(struct sw *w, int i)
{
    struct sw_node *n = &w->nodes[i];
    struct session_action a;
    while (session_poll(n->plane, &a)) {
        if (a.type != SESSION_ACTION_SEND) {
            sw_note(n, &a);
            if (a.type == SESSION_ACTION_EARLY && n->answers_early) {
                sw_answer(w, n, &a);
            }
            continue;
        }
        CHECK(a.bytes.len > 0 && a.bytes.len <= HANDSHAKE_DATAGRAM_MAX);
        n->n_sent++;
        n->n_sent_bytes += a.bytes.len;
        struct sw_packet *last = &w->last[a.bytes.data[0] & 7];
        last->from = n->addr;
        last->to = a.addr;
        last->len = a.bytes.len;
        memcpy(last->bytes, a.bytes.data, a.bytes.len);
        if (w->loss_permille == 0 || !rng_chance(&w->rng, w->loss_permille)) {
            sw_post(w, &n->addr, &a.addr, a.bytes);
        }
    }
    session_check(n->plane);
}

/* Gives a packet to whoever has its address. */
static inline void sw_deliver(struct sw *w, const struct sw_packet *k)
{
    for (int i = 0; i < SW_NODES; i++) {
        if (addr_equal(&w->nodes[i].addr, &k->to)) {
            uint8_t *exact = malloc(k->len > 0 ? k->len : 1); /* an overrun is seen */
            memcpy(exact, k->bytes, k->len);
            session_recv(w->nodes[i].plane, w->now_us, &k->from, slice_of(exact, k->len));
            free(exact);
            sw_drain(w, i);
        }
    }
}

static inline size_t sw_next(const struct sw *w)
{
    size_t best = 0;
    for (size_t i = 1; i < w->n_flight; i++) {
        const struct sw_packet *a = &w->flight[i], *b = &w->flight[best];
        if (a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order)) {
            best = i;
        }
    }
    return best;
}

/* Time passes; packets arrive, timers fire. */
static inline void sw_run(struct sw *w, uint64_t us)
{
    uint64_t until = w->now_us + us;
    for (;;) {
        for (int i = 0; i < SW_NODES; i++) {
            sw_drain(w, i);
        }
        uint64_t due = until;
        for (int i = 0; i < SW_NODES; i++) {
            due = IPX_MIN(due, session_deadline(w->nodes[i].plane));
        }
        size_t k = w->n_flight > 0 && !w->is_held ? sw_next(w) : SW_FLIGHT;
        if (k != SW_FLIGHT && w->flight[k].due_us <= due) {
            struct sw_packet packet = w->flight[k];
            w->now_us = IPX_MAX(w->now_us, packet.due_us);
            w->flight[k] = w->flight[--w->n_flight];
            sw_deliver(w, &packet);
            continue;
        }
        w->now_us = IPX_MAX(w->now_us, due);
        if (due >= until) {
            return;
        }
        for (int i = 0; i < SW_NODES; i++) {
            session_tick(w->nodes[i].plane, w->now_us);
        }
    }
}

static inline enum ipx_err sw_try(struct sw *w, int from, int to, uint8_t type, const char *text)
{
    struct session_message m = {.peer = w->nodes[to].key.pk,
                                .to = w->nodes[to].addr,
                                .type = type,
                                .request_id = (uint32_t)w->now_us,
                                .body = slice_text(text)};
    return session_send(w->nodes[from].plane, w->now_us, &m);
}

static inline void sw_say(struct sw *w, int from, int to, uint8_t type, const char *text)
{
    CHECK_OK(sw_try(w, from, to, type, text));
}

/* The first event of a kind since the last sw_forget(), or NULL. */
static inline const struct sw_event *sw_seen(const struct sw *w, int i,
                                             enum session_action_type type)
{
    for (size_t k = 0; k < w->nodes[i].n_events; k++) {
        if (w->nodes[i].events[k].a.type == type) {
            return &w->nodes[i].events[k];
        }
    }
    return NULL;
}

static inline size_t sw_count(const struct sw *w, int i, enum session_action_type type)
{
    size_t n = 0;
    for (size_t k = 0; k < w->nodes[i].n_events; k++) {
        n += w->nodes[i].events[k].a.type == type;
    }
    return n;
}

static inline void sw_forget(struct sw *w)
{
    for (int i = 0; i < SW_NODES; i++) {
        w->nodes[i].n_events = 0;
        w->nodes[i].n_sent = w->nodes[i].n_sent_bytes = 0;
    }
}

static inline bool sw_is_up(const struct sw *w, int i, int j)
{
    struct session_info info;
    return session_find(w->nodes[i].plane, &w->nodes[j].key.pk, &info);
}

static inline const struct session_stats *sw_stats(const struct sw *w, int i)
{
    return session_stats_of(w->nodes[i].plane);
}

/* A session between 0 and 1, all events forgotten. */
static inline void sw_up(struct sw *w, uint64_t seed)
{
    sw_init(w, seed);
    sw_say(w, 0, 1, 40, "hello");
    sw_run(w, 100 * US_PER_MS);
    CHECK(sw_is_up(w, 0, 1) && sw_is_up(w, 1, 0));
    sw_forget(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A small network of whole DHT objects on virtual time: delay, loss, nodes that
 * are down and nodes that lie. Sessions are modelled by the facts that come with
 * each message; the first request to a stranger is an early one, as in a handshake.
 */
#include "tests/unit/dht_world_nodes.h"

static uint64_t world_delay(struct world *w)
{
    return w->delay_min_us + rng_below(&w->rng, w->delay_max_us - w->delay_min_us + 1);
}

static struct world_event *world_send(struct world *w, int from, int to, uint8_t type)
{
    struct world_event *e = calloc(1, sizeof(*e));
    e->from = from;
    e->to = to;
    e->type = type;
    e->at_us = w->now_us + world_delay(w);
    return e;
}

static void world_on_send(struct world *w, int i, const struct dht_action *a)
{
    int to = world_index(w, &a->send.to);
    w->n_messages++;
    w->n_bytes += a->send.body.len;
    if (to < 0 || rng_chance(&w->rng, w->loss_permille)) {
        return; /* nobody has this key, or lost */
    }
    CHECK(addr_equal(&a->send.addr, &w->nodes[to].addr));
    struct world_event *e = world_send(w, i, to, a->send.type);
    bool is_strange = !w->sessions[i * w->n + to];
    e->req_id = a->send.req_id;
    e->len = a->send.body.len;
    memcpy(e->body, a->send.body.data, e->len);
    e->is_strange = is_strange && dht_type_is_request(e->type) && e->type != DHT_STORE;
    if (is_strange && e->type == DHT_STORE) { /* needs a confirmed session first */
        e->at_us += world_delay(w) + world_delay(w);
        w->sessions[i * w->n + to] = w->sessions[to * w->n + i] = true;
    }
    world_lie(w, &w->nodes[i], e);
    world_push(w, e);
}

static void world_on_found(struct world *w, struct world_node *node, const struct dht_action *a)
{
    CHECK_EQ(a->found.n_nodes <= DHT_K, 1);
    node->found.handle = a->found.handle;
    node->found.status = a->found.status;
    node->found.n = a->found.n_nodes;
    memcpy(node->found.nodes, a->found.nodes, a->found.n_nodes * sizeof(struct dht_found));
    node->found.record_len = a->found.record.len;
    if (a->found.record.len > 0) {
        memcpy(node->found.record, a->found.record.data, a->found.record.len);
    }
    node->found.n_providers = a->found.n_providers;
    memcpy(node->found.providers, a->found.providers,
           a->found.n_providers * sizeof(struct dht_provider));
    node->found.at_us = w->now_us;
    node->found.n_sent = node->d.told->lookup.n_sent;
}

static void world_drain(struct world *w, int i)
{
    struct world_node *node = &w->nodes[i];
    struct dht_action a;
    unsigned n = 0;
    while (dht_poll(&node->d, &a)) {
        CHECK(++n < 2000);
        switch (a.kind) {
        case DHT_ACTION_SEND:
            world_on_send(w, i, &a);
            break;
        case DHT_ACTION_FOUND:
            world_on_found(w, node, &a);
            break;
        case DHT_ACTION_STORED:
            node->stored.handle = a.stored.handle;
            node->stored.status = a.stored.status;
            node->stored.why = a.stored.why;
            node->stored.n_acks = a.stored.n_acks;
            node->stored.seq = a.stored.seq;
            node->stored.at_us = w->now_us;
            node->stored.n++;
            break;
        case DHT_ACTION_LEARNED:
            node->n_learned++;
            CHECK(world_index(w, &a.learned.id) >= 0);
            break;
        case DHT_ACTION_JOINED:
            node->n_joined++;
            node->joined_us = w->now_us;
            break;
        case DHT_ACTION_SAVE:
            node->n_saves++;
            break;
        case DHT_ACTION_PERSIST_SEQ:
            dht_on_seq_stored(&node->d, w->now_us, a.seq);
            break;
        }
    }
    uint64_t due = dht_deadline(&node->d);
    if (due < node->tick_us) {
        struct world_event *e = world_send(w, -1, i, 0);
        e->at_us = IPX_MAX(due, w->now_us);
        node->tick_us = due;
        world_push(w, e);
    }
}

static void world_deliver(struct world *w, struct world_event *e)
{
    struct world_node *from = &w->nodes[e->from], *to = &w->nodes[e->to];
    if (e->type == 0) {
        dht_on_session(&to->d, w->now_us, &from->facts, &from->addr);
        return;
    }
    if (to->kind == WORLD_SILENT) {
        return;
    }
    if (e->type == DHT_FIND_NODE || e->type == DHT_GET) {
        struct dht_wire_msg m;
        CHECK_OK(dht_wire_decode(e->type, slice_of(e->body, e->len), &m));
        to->asked = m.target;
    }
    struct dht_msg msg = {.facts = &from->facts,
                          .addr = &from->addr,
                          .req_id = e->req_id,
                          .type = e->type,
                          .is_early = e->is_strange,
                          .body = slice_of(e->body, e->len)};
    dht_recv(&to->d, w->now_us, &msg);
    bool *session = &w->sessions[e->to * w->n + e->from];
    if (dht_type_is_reply(e->type) && !*session) {
        *session = w->sessions[e->from * w->n + e->to] = true;
        world_push(w, world_send(w, e->to, e->from, 0));
    }
}

static void world_run(struct world *w, uint64_t until_us)
{
    while (w->n_heap > 0 && w->heap[0]->at_us <= until_us) {
        struct world_event *e = world_pop(w);
        struct world_node *to = &w->nodes[e->to];
        w->now_us = e->at_us;
        if (to->is_up && e->from < 0) {
            to->tick_us = NEVER_US;
            to->n_wakes++;
            dht_tick(&to->d, w->now_us);
        } else if (to->is_up && w->nodes[e->from].is_up) {
            world_deliver(w, e);
        }
        if (to->is_up) {
            world_drain(w, e->to);
            if (w->next_order % 64 == 0) {
                dht_check(&to->d);
            }
        }
        free(e);
    }
    w->now_us = until_us;
}

/* Node i enters by the contacts of a and b. */
static void world_join(struct world *w, int i, int a, int b)
{
    struct dht_contact c[2] = {world_contact(w, a), world_contact(w, b)};
    c[1].flags = DHT_FLAG_NO_NONCE; /* as in a ticket */
    memset(c[1].nonce, 0, sizeof(c[1].nonce));
    CHECK_OK(dht_bootstrap(&w->nodes[i].d, w->now_us, c, 2));
    dht_join(&w->nodes[i].d, w->now_us);
    world_drain(w, i);
}

/* All but node 0 join, one every `gap_us`, by members chosen at random. */
static __attribute__((unused)) void world_join_all(struct world *w, uint64_t gap_us)
{
    for (int i = 1; i < w->n; i++) {
        int a = (int)rng_below(&w->rng, (uint64_t)i);
        int b = (int)rng_below(&w->rng, (uint64_t)i);
        world_join(w, i, a, b);
        world_run(w, w->now_us + gap_us);
    }
}

static __attribute__((unused)) void world_kill(struct world *w, int i)
{
    w->nodes[i].is_up = false;
}

/* The node nearest to the target that is up and of a kind that answers. */
static __attribute__((unused)) int world_nearest(const struct world *w, const struct dht_pos *t,
                                                 int except)
{
    int best = -1;
    for (int i = 0; i < w->n; i++) {
        bool answers = w->nodes[i].kind != WORLD_SILENT && w->nodes[i].kind != WORLD_GARBAGE;
        if (i != except && w->nodes[i].is_up && answers &&
            (best < 0 ||
             dht_pos_compare(t, &w->nodes[i].facts.pos, &w->nodes[best].facts.pos) < 0)) {
            best = i;
        }
    }
    return best;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A zone of gossip objects that is there already: what a network of gossip_net.h looks like hours
 * after its start, and what may befall its nodes then.
 */
#include "tests/unit/gossip_net.h"

/* Shorter chains, before any node starts: for zones so large that memory counts. */
static inline void net_shorten(struct net *net, size_t chain_len)
{
    net->chain_len = chain_len;
    for (unsigned i = 0; i < net->n_max; i++) {
        net_facts(net->nodes[i].chain, chain_len, &net->nodes[i].facts);
    }
}

static inline void net_introduce(struct net *net, unsigned i, unsigned j)
{
    struct gossip *g = &net->nodes[i].g;
    const struct net_node *x = &net->nodes[j];
    struct slice statement = gossip_bytes_slice(&x->g.self->alive);
    struct cbor_reader r = cbor_reader_of(statement);
    struct gossip_item item;
    struct gossip_alive alive;
    gossip_item_read(&r, &item);
    CHECK_OK(gossip_alive_decode(item.body, &alive));
    gossip_verdict_apply(g, net->now_us, &alive, statement, &x->facts,
                         slice_of(x->chain, net->chain_len), GOSSIP_NO_SLOT);
    struct gossip_member *m = gossip_members_find(&g->members, &x->key.pk);
    gossip_spread_drop(&g->spread, &m->spread_state);
    m->addr = x->addr;
    m->heard_us = net->now_us;
    m->srtt_us = (uint32_t)(2 * net->delay_us + net->jitter_us);
    m->rttvar_us = (uint32_t)net->jitter_us / 4;
}

/* All nodes run, know each other, and are calm: as a zone is hours after its start. */
static inline void net_settle(struct net *net)
{
    for (unsigned i = 0; i < net->n; i++) {
        net_start(net, i);
    }
    for (unsigned i = 0; i < net->n; i++) {
        struct gossip *g = &net->nodes[i].g;
        for (unsigned j = 0; j < net->n; j++) {
            if (j != i) {
                net_introduce(net, i, j);
            }
        }
        gossip_spread_drop(&g->spread, &g->self->spread_state);
        g->sync.n_follows = g->sync.n_quick = 0;
        g->sync.next_us = net->now_us + rng_below(&net->rng, GOSSIP_SYNC_INTERVAL_US);
        g->prober.next_us = net->now_us + rng_below(&net->rng, GOSSIP_PROBE_INTERVAL_US);
        g->prober.srtt_us = (uint32_t)(2 * net->delay_us + net->jitter_us);
        net_drain(net, i);
    }
}

/* Stands still, as by SIGSTOP: packets wait in its socket, timers are late. */
static inline void net_stall(struct net *net, unsigned i, uint64_t us)
{
    struct net_node *x = &net->nodes[i];
    x->stalled_until_us = net->now_us + us;
    x->due_us = IPX_MAX(x->due_us, x->stalled_until_us);
}

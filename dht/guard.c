/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/guard.h"

void dht_guard_init(struct dht_guard *g)
{
    *g = (struct dht_guard){.peers = {{.strikes = 0}}};
}

/* A host that is reached by loopback sees what we see; a neighbour on a private net sees that net;
 * everybody sees global addresses. */
static bool is_seen_from(enum addr_scope seen, enum addr_scope from)
{
    switch (seen) {
    case ADDR_SCOPE_LOOPBACK:
        return from == ADDR_SCOPE_LOOPBACK;
    case ADDR_SCOPE_PRIVATE:
        return from == ADDR_SCOPE_LOOPBACK || from == ADDR_SCOPE_PRIVATE;
    case ADDR_SCOPE_GLOBAL:
        return true;
    case ADDR_SCOPE_NONE:
        break;
    }
    return false;
}

enum dht_verdict dht_guard_judge(const struct dht_contact *c, const struct node_id *self,
                                 const struct addr *from)
{
    enum addr_scope scope = addr_scope(&c->addr);
    if (scope == ADDR_SCOPE_NONE) {
        return DHT_VERDICT_ENDPOINT;
    }
    if (!is_seen_from(scope, addr_scope(from))) {
        return DHT_VERDICT_SCOPE;
    }
    if (node_id_equal(&c->id, self)) {
        return DHT_VERDICT_SELF;
    }
    if ((c->flags & DHT_FLAG_CLIENT) != 0) {
        return DHT_VERDICT_CLIENT;
    }
    /* The point itself is checked only when the peer is about to be asked: 16 would be costly. */
    return (c->id.bytes[31] & 0x80) != 0 ? DHT_VERDICT_KEY : DHT_VERDICT_OK;
}

bool dht_guard_may_tell(const struct addr *told, const struct addr *to, uint8_t want)
{
    uint8_t family = told->family == ADDR_V4 ? DHT_WANT_V4 : DHT_WANT_V6;
    return (want & family) != 0 && is_seen_from(addr_scope(told), addr_scope(to));
}

bool dht_guard_strike(struct dht_guard *g, uint64_t now_us, const struct node_id *id)
{
    size_t at = 0;
    for (size_t i = 0; i < DHT_GUARD_PEERS; i++) {
        if (g->peers[i].strikes > 0 && node_id_equal(&g->peers[i].id, id)) {
            at = i;
            break;
        }
        bool is_older = g->peers[i].at_us < g->peers[at].at_us;
        if (g->peers[at].strikes > 0 && (g->peers[i].strikes == 0 || is_older)) {
            at = i;
        }
    }
    bool is_known = g->peers[at].strikes > 0 && node_id_equal(&g->peers[at].id, id);
    if (!is_known || now_us - g->peers[at].at_us >= DHT_STRIKES_FORGET_US) {
        g->peers[at].id = *id;
        g->peers[at].strikes = 0;
    }
    bool was_muted = dht_guard_is_muted(g, now_us, id);
    g->peers[at].strikes = (uint8_t)IPX_MIN(g->peers[at].strikes + 1, DHT_STRIKES_MAX);
    g->peers[at].at_us = now_us;
    return !was_muted && g->peers[at].strikes == DHT_STRIKES_MAX;
}

bool dht_guard_is_muted(const struct dht_guard *g, uint64_t now_us, const struct node_id *id)
{
    for (size_t i = 0; i < DHT_GUARD_PEERS; i++) {
        if (g->peers[i].strikes >= DHT_STRIKES_MAX && node_id_equal(&g->peers[i].id, id)) {
            return now_us - g->peers[i].at_us < DHT_STRIKES_MUTE_US;
        }
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_parts.h"

static void info_fill(const struct session_plane *p, const struct session_peer *peer,
                      struct session_info *ret)
{
    uint64_t rto_us = RTO_FIRST_US;
    if (peer->srtt_us > 0) {
        rto_us =
            IPX_MIN(IPX_MAX(peer->srtt_us + 4 * peer->rttvar_us, 100 * US_PER_MS), 2 * US_PER_S);
    }
    *ret = (struct session_info){
        .peer = peer->id,
        .addr = peer->addr,
        .observed = peer->observed,
        .facts = peer->who.has_facts ? &peer->who.facts : NULL,
        .since_us = peer->since_us,
        .heard_us = peer->heard_us,
        .srtt_us = peer->srtt_us,
        .rto_us = rto_us,
        .bytes_in = peer->bytes_in,
        .bytes_out = peer->bytes_out,
        .is_ticket = !peer->who.has_facts,
        .is_dialled = peer->cur->is_dialled,
        .is_silent = peer->pinged_us != 0 && p->now_us - peer->pinged_us >= SILENT_DOUBT_US,
    };
}

bool session_find(const struct session_plane *p, const struct node_id *id, struct session_info *ret)
{
    const struct session_peer *peer = session_peer_find(p, id);
    if (peer == NULL || peer->cur == NULL) {
        return false;
    }
    info_fill(p, peer, ret);
    return true;
}

uint32_t session_places(const struct session_plane *p)
{
    return p->by_id.n_places;
}

bool session_at(const struct session_plane *p, uint32_t i, struct session_info *ret)
{
    const struct session_peer *peer = index_at(&p->by_id, i);
    if (peer == NULL || peer->cur == NULL) {
        return false;
    }
    info_fill(p, peer, ret);
    return true;
}

const struct session_stats *session_stats_of(const struct session_plane *p)
{
    return &p->stats;
}

static void slot_check(const struct session_plane *p, const struct session_slot *slot,
                       const struct session_peer *peer, bool is_dial)
{
    assert(index_find(&p->by_index, &slot->index) == slot);
    assert(slot->peer == peer && slot->is_dial == is_dial && slot->index != 0);
}

static void peer_check(const struct session_plane *p, const struct session_peer *peer)
{
    bool is_alive =
        peer->cur != NULL || peer->next != NULL || peer->dial != NULL || peer->held != NULL;
    assert(is_alive && timer_is_set(&peer->timer));
    assert(index_find(&p->by_id, &peer->id) == peer);
    assert(!node_id_equal(&peer->id, &p->self.key.pk));
    assert((peer->cur != NULL) == list_is_linked(&peer->lru));
    assert(peer->cur != NULL || (peer->prev == NULL && peer->plain == NULL && peer->path == NULL));
    assert(peer->cur != NULL || !list_is_linked(&peer->dirty));
    assert(peer->cur == NULL || peer->n_waiting == 0);
    if (peer->cur != NULL) {
        slot_check(p, &peer->cur->slot, peer, false);
        assert(!peer->who.has_facts || node_id_equal(&peer->who.facts.id, &peer->id));
    }
    if (peer->prev != NULL) {
        slot_check(p, &peer->prev->slot, peer, false);
    }
    if (peer->next != NULL) {
        slot_check(p, &peer->next->key->slot, peer, false);
        assert(peer->next->key->sent == 0); /* nothing is sent on what is not confirmed */
    }
    if (peer->dial != NULL) {
        slot_check(p, &peer->dial->slot, peer, true);
    }
}

void session_check(const struct session_plane *p)
{
    uint32_t n_up = 0, n_next = 0, n_dials = 0, n_held = 0, n_prev = 0;
    for (uint32_t i = 0; i < p->by_id.n_places; i++) {
        const struct session_peer *peer = index_at(&p->by_id, i);
        if (peer == NULL) {
            continue;
        }
        peer_check(p, peer);
        n_up += peer->cur != NULL;
        n_next += peer->next != NULL;
        n_dials += peer->dial != NULL;
        n_held += peer->held != NULL;
        n_prev += peer->prev != NULL;
    }
    assert(n_up == p->n_up && n_up <= p->sessions_max);
    assert(n_next == p->n_next && n_dials == p->n_dials && n_held == p->n_held);
    assert(n_up + n_prev + n_next + n_dials == p->by_index.n);
    assert(p->n_next <= SESSION_UNCONFIRMED_MAX && p->n_dials <= SESSION_OPENING_MAX);
    chains_check(p->chains);
}

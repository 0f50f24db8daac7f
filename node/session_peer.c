/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_parts.h"

int64_t session_wall_ms(const struct session_plane *p)
{
    return p->wall_ms + (int64_t)((p->now_us - p->clock_us) / US_PER_MS);
}

struct session_peer *session_peer_find(const struct session_plane *p, const struct node_id *id)
{
    return index_find(&p->by_id, id);
}

struct session_peer *session_peer_get(struct session_plane *p, const struct node_id *id)
{
    struct session_peer *peer = session_peer_find(p, id);
    if (peer != NULL) {
        return peer;
    }
    if (timers_reserve(&p->timers, p->by_id.n + 1) != IPX_OK) {
        return NULL;
    }
    peer = mem_alloc(p->mem, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    peer->id = *id;
    if (index_add(&p->by_id, peer) != IPX_OK) {
        mem_free(p->mem, peer);
        return NULL;
    }
    list_init(&peer->lru);
    list_init(&peer->dirty);
    list_init(&peer->waiting);
    timer_init(&peer->timer, 0);
    return peer;
}

/* Random, unique among live ones, and not 0, which is that of links. */
uint32_t session_index_draw(struct session_plane *p)
{
    for (;;) {
        uint32_t index = rng_u32(&p->rng);
        if (index != 0 && index_find(&p->by_index, &index) == NULL) {
            return index;
        }
    }
}

void session_who_done(struct session_plane *p, struct session_who *who)
{
    mem_free(p->mem, who->ticket);
    *who = (struct session_who){0};
}

void session_key_free(struct session_plane *p, struct session_key *key)
{
    if (key != NULL) {
        index_remove(&p->by_index, key);
        crypt_wipe(key, sizeof(*key));
        mem_free(p->mem, key);
    }
}

void session_next_free(struct session_plane *p, struct session_peer *peer)
{
    if (peer->next != NULL) {
        session_key_free(p, peer->next->key);
        session_who_done(p, &peer->next->who);
        mem_free(p->mem, peer->next);
        peer->next = NULL;
        p->n_next--;
    }
}

void session_dial_free(struct session_plane *p, struct session_peer *peer)
{
    if (peer->dial != NULL) {
        index_remove(&p->by_index, peer->dial);
        crypt_wipe(peer->dial, sizeof(*peer->dial));
        mem_free(p->mem, peer->dial);
        peer->dial = NULL;
        p->n_dials--;
    }
}

void session_held_free(struct session_plane *p, struct session_peer *peer)
{
    if (peer->held != NULL) {
        session_who_done(p, &peer->held->who);
        crypt_wipe(peer->held, sizeof(*peer->held));
        mem_free(p->mem, peer->held);
        peer->held = NULL;
        p->n_held--;
    }
}

void session_path_free(struct session_plane *p, struct session_peer *peer)
{
    mem_free(p->mem, peer->path);
    peer->path = NULL;
}

void session_waiting_drop(struct session_plane *p, struct session_peer *peer)
{
    struct session_waiting *w;
    while ((w = LIST_FIRST(&peer->waiting, struct session_waiting, list)) != NULL) {
        list_unlink(&w->list);
        mem_free(p->mem, w);
    }
    peer->n_waiting = 0;
    peer->waiting_bytes = 0;
}

/* All that belongs to the confirmed session. */
static void session_end(struct session_plane *p, struct session_peer *peer)
{
    if (peer->cur != NULL) {
        list_unlink(&peer->lru);
        p->n_up--;
    }
    list_unlink(&peer->dirty);
    session_key_free(p, peer->cur);
    session_key_free(p, peer->prev);
    peer->cur = peer->prev = NULL;
    session_path_free(p, peer);
    mem_free(p->mem, peer->plain);
    peer->plain = NULL;
    mem_free(p->mem, peer->asks);
    peer->asks = NULL;
    session_who_done(p, &peer->who);
    peer->must_confirm = false;
    peer->is_by_ticket = false;
    peer->silent_since_us = 0;
}

void session_peer_free(struct session_plane *p, struct session_peer *peer)
{
    session_end(p, peer);
    session_next_free(p, peer);
    session_dial_free(p, peer);
    session_held_free(p, peer);
    session_waiting_drop(p, peer);
    timers_clear(&p->timers, &peer->timer);
    index_remove(&p->by_id, peer);
    mem_free(p->mem, peer);
}

void session_mark_dirty(struct session_plane *p, struct session_peer *peer)
{
    if (!list_is_linked(&peer->dirty)) {
        list_push_back(&p->dirty, &peer->dirty);
    }
}

/* When we dial for a new key: an hour after this one, then each minute. */
static uint64_t rekey_due(const struct session_peer *peer)
{
    if (peer->cur == NULL || !peer->cur->is_dialled || peer->dial != NULL) {
        return NEVER_US;
    }
    uint64_t first = peer->cur->made_us + REKEY_AFTER_US;
    return peer->last_dial_us < first ? first : peer->last_dial_us + REKEY_RETRY_US;
}

static uint64_t key_due(const struct session_peer *peer)
{
    uint64_t due = IPX_MIN(peer->cur->made_us + KEY_LIFE_US, rekey_due(peer));
    return peer->prev != NULL ? IPX_MIN(due, peer->prev_until_us) : due;
}

static uint64_t peer_due(const struct session_plane *p, const struct session_peer *peer)
{
    uint64_t due = peer->cur != NULL ? key_due(peer) : NEVER_US;
    if (peer->dial != NULL) {
        due = IPX_MIN(due, peer->dial->retry_us);
    }
    if (peer->next != NULL) {
        bool is_waited_for = peer->n_waiting > 0 && peer->dial == NULL;
        uint64_t grace = is_waited_for ? peer->next->key->made_us + DIAL_GRACE_US : NEVER_US;
        due = IPX_MIN(due, peer->next->key->made_us + NEXT_LIFE_US);
        due = grace > p->now_us ? IPX_MIN(due, grace) : due;
    }
    if (peer->held != NULL) {
        due = IPX_MIN(due, peer->held->due_us);
    }
    if (peer->path != NULL) {
        due = IPX_MIN(due, peer->path->retry_us);
    }
    return due;
}

void session_peer_settle(struct session_plane *p, struct session_peer *peer)
{
    bool is_alive =
        peer->cur != NULL || peer->next != NULL || peer->dial != NULL || peer->held != NULL;
    if (!is_alive && peer->n_waiting > 0 && peer->to.family != ADDR_NONE) {
        /* the other's handshake came to nothing: ours again */
        is_alive = session_dial_start(p, peer, &peer->to) == IPX_OK;
    }
    if (!is_alive) {
        if (peer->n_waiting > 0) {
            struct session_action a = {
                .type = SESSION_ACTION_FAILED, .peer = peer->id, .err = IPX_BUSY};
            (void)session_out_action(p, &a, NULL, SLICE_EMPTY);
        }
        session_peer_free(p, peer);
        return;
    }
    uint64_t due = peer_due(p, peer); /* the same for packet after packet */
    if (!timer_is_set(&peer->timer) || peer->timer.due_us != due) {
        timers_set(&p->timers, &peer->timer, due);
    }
}

void session_peer_on_timer(struct session_plane *p, struct session_peer *peer)
{
    uint64_t now = p->now_us;
    if (peer->held != NULL && now >= peer->held->due_us) {
        session_held_finish(p, peer, NULL);
    }
    if (peer->prev != NULL && now >= peer->prev_until_us) {
        session_key_free(p, peer->prev);
        peer->prev = NULL;
    }
    if (peer->next != NULL) {
        uint64_t age = now - peer->next->key->made_us;
        if (age >= NEXT_LIFE_US) {
            session_next_free(p, peer);
        } else if (age >= DIAL_GRACE_US && peer->n_waiting > 0 && peer->dial == NULL) {
            err_ignore(session_dial_start(p, peer, &peer->to), "tried again when `next` ends");
        }
    }
    if (peer->path != NULL && now >= peer->path->retry_us) {
        session_path_send(p, peer);
    }
    if (peer->cur != NULL && now >= peer->cur->made_us + KEY_LIFE_US) {
        session_peer_down(p, peer, IPX_EXPIRED);
        return;
    }
    if (peer->dial != NULL && now >= peer->dial->retry_us) {
        session_dial_on_timer(p, peer);
        return;
    }
    if (now >= rekey_due(peer)) {
        err_ignore(session_dial_start(p, peer, &peer->addr), "the old key serves on");
        peer->last_dial_us = now;
    }
    session_peer_settle(p, peer);
}

static void evict_oldest(struct session_plane *p)
{
    struct session_peer *oldest = CONTAINER_OF(p->up.prev, struct session_peer, lru);
    session_forget(p, p->now_us, &oldest->id, IPX_LIMIT);
}

void session_peer_up(struct session_plane *p, struct session_peer *peer,
                     const struct session_new *n)
{
    bool is_first = peer->cur == NULL;
    bool is_news = is_first || peer->who.has_facts != n->who->has_facts ||
                   !hash_equal(&peer->who.facts.chain_hash, &n->who->facts.chain_hash);
    if (is_first && p->n_up == p->sessions_max) {
        evict_oldest(p);
    }
    if (!is_first) {
        session_key_free(p, peer->prev);
        peer->prev = peer->cur;
        peer->prev_until_us = p->now_us + PREV_LIFE_US;
        p->stats.rekeyed++;
    } else {
        list_push_front(&p->up, &peer->lru);
        p->n_up++;
        p->stats.opened++;
        peer->since_us = p->now_us;
    }
    peer->cur = n->key;
    session_who_done(p, &peer->who);
    peer->who = *n->who;
    *n->who = (struct session_who){0};
    peer->addr = *n->addr;
    if (n->observed != NULL && n->observed->family != ADDR_NONE) {
        peer->observed = *n->observed;
    }
    peer->heard_us = p->now_us;
    peer->silent_since_us = 0;
    peer->pinged_us = 0;
    trace_emit(&p->trace, p->now_us, TRACE_SESSION, is_first ? "up" : "rekeyed", &peer->id,
               peer->cur->is_dialled, p->n_up);
    if (is_news) {
        struct session_action a = {.type = SESSION_ACTION_UP,
                                   .peer = peer->id,
                                   .addr = peer->addr,
                                   .is_first = is_first,
                                   .is_dialled = peer->cur->is_dialled,
                                   .observed = peer->observed};
        (void)session_out_action(p, &a, &peer->who, SLICE_EMPTY);
    }
}

void session_peer_down(struct session_plane *p, struct session_peer *peer, enum ipx_err why)
{
    assert(peer->cur != NULL);
    struct session_action a = {
        .type = SESSION_ACTION_DOWN, .peer = peer->id, .addr = peer->addr, .err = why};
    (void)session_out_action(p, &a, &peer->who, SLICE_EMPTY);
    trace_emit(&p->trace, p->now_us, TRACE_SESSION, "down", &peer->id, (uint64_t)why, 0);
    session_end(p, peer);
    session_peer_settle(p, peer);
}

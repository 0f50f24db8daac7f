/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

struct gossip_pending_alive *gossip_pending_find(const struct gossip *g, const struct node_id *id)
{
    for (struct gossip_pending_alive *p = g->pending.first; p != NULL; p = p->next) {
        if (node_id_equal(&p->alive.pk, id)) {
            return p;
        }
    }
    return NULL;
}

void gossip_pending_remove(struct gossip *g, struct gossip_pending_alive *p)
{
    struct gossip_pending_alive **at = &g->pending.first;
    while (*at != p) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = p->next;
    g->pending.n--;
    g->pending.n_news -= p->is_news ? 1 : 0;
    gossip_bytes_clear(g->mem, &p->item);
    gossip_bytes_clear(g->mem, &p->chain);
    gossip_bytes_clear(g->mem, &p->ad_item);
    mem_free(g->mem, p);
}

void gossip_pending_refuse(struct gossip *g, uint64_t now_us, struct gossip_pending_alive *p)
{
    struct gossip_pending *t = &g->pending;
    t->refused[t->next_refused] = (struct gossip_refused){
        .chain_hash = p->alive.chain_hash, .until_us = now_us + GOSSIP_PENDING_REFUSED_US};
    t->next_refused = (uint8_t)((t->next_refused + 1) % GOSSIP_PENDING_REFUSED);
    gossip_pending_remove(g, p);
}

void gossip_pending_forgive(struct gossip *g)
{
    memset(g->pending.refused, 0, sizeof(g->pending.refused));
}

bool gossip_pending_is_refused(const struct gossip *g, uint64_t now_us, const struct hash *chain)
{
    for (unsigned i = 0; i < GOSSIP_PENDING_REFUSED; i++) {
        const struct gossip_refused *r = &g->pending.refused[i];
        if (r->until_us > now_us && hash_equal(&r->chain_hash, chain)) {
            return true;
        }
    }
    return false;
}

void gossip_pending_done(struct gossip *g)
{
    while (g->pending.first != NULL) {
        gossip_pending_remove(g, g->pending.first);
    }
}

/* A fresh entry at the end of the list; the oldest that only waits makes room. */
static struct gossip_pending_alive *pending_new(struct gossip *g)
{
    if (g->pending.n == GOSSIP_PENDING_MAX) {
        struct gossip_pending_alive *oldest = g->pending.first;
        while (oldest != NULL && oldest->is_news) {
            oldest = oldest->next;
        }
        if (oldest == NULL) {
            return NULL;
        }
        gossip_pending_remove(g, oldest);
    }
    struct gossip_pending_alive *p = mem_alloc(g->mem, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    struct gossip_pending_alive **at = &g->pending.first;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = p;
    g->pending.n++;
    return p;
}

void gossip_pending_add(struct gossip *g, uint64_t now_us, const struct gossip_alive *alive,
                        struct slice item, const struct gossip_peer *from)
{
    struct gossip_pending_alive *p = gossip_pending_find(g, &alive->pk);
    bool is_same_chain = p != NULL && hash_equal(&p->alive.chain_hash, &alive->chain_hash);
    if (p != NULL && !is_same_chain) {
        gossip_pending_remove(g, p);
        p = NULL;
    }
    if (p == NULL && (p = pending_new(g)) == NULL) {
        return;
    }
    if (gossip_bytes_set(g->mem, &p->item, item) != IPX_OK) {
        gossip_pending_remove(g, p);
        return;
    }
    p->alive = *alive;
    p->from = *from;
    if (p->chain.len == 0) {
        p->is_wanted = true;
        p->due_us = now_us + GOSSIP_PENDING_RETRY_US;
    }
}

void gossip_pending_chain(struct gossip *g, uint64_t now_us, struct slice chain)
{
    struct hash hash = crypt_hash(chain);
    for (struct gossip_pending_alive *p = g->pending.first; p != NULL; p = p->next) {
        if (p->chain.len > 0 || !hash_equal(&p->alive.chain_hash, &hash)) {
            continue;
        }
        if (gossip_bytes_set(g->mem, &p->chain, chain) == IPX_OK) {
            p->is_news = true;
            p->is_wanted = false;
            p->due_us = now_us + GOSSIP_PENDING_VERDICT_US;
            g->pending.n_news++;
        }
        return;
    }
}

void gossip_pending_ad(struct gossip *g, const struct node_id *id, struct slice item)
{
    struct gossip_pending_alive *p = gossip_pending_find(g, id);
    if (p != NULL && item.len <= GOSSIP_BODY_MAX) {
        err_ignore(gossip_bytes_set(g->mem, &p->ad_item, item), "anti-entropy brings it again");
    }
}

void gossip_pending_ask(struct gossip *g, uint64_t now_us, const struct gossip_peer *from)
{
    uint8_t bytes[GOSSIP_PULLS_MAX * GOSSIP_PULL_ENTRY_LEN];
    struct writer w = writer_of(bytes, sizeof(bytes));
    for (struct gossip_pending_alive *p = g->pending.first; p != NULL; p = p->next) {
        if (!p->is_wanted || !node_id_equal(&p->from.id, &from->id)) {
            continue;
        }
        p->is_wanted = false;
        p->n_tries++;
        p->due_us = now_us + GOSSIP_PENDING_RETRY_US;
        writer_u64(&w, gossip_prefix(&p->alive.pk));
        writer_u8(&w, GOSSIP_WANT_CHAIN | GOSSIP_WANT_AD);
    }
    if (w.len > 0) {
        struct gossip_msg m = {.entries = writer_slice(&w)};
        gossip_send(g, from, GOSSIP_TYPE_PULL, 0, &m);
    }
}

void gossip_pending_tick(struct gossip *g, uint64_t now_us)
{
    struct gossip_pending_alive *next;
    for (struct gossip_pending_alive *p = g->pending.first; p != NULL; p = next) {
        next = p->next;
        if (p->due_us > now_us || p->is_news) {
            continue;
        }
        if (p->chain.len > 0 || p->n_tries >= GOSSIP_PENDING_TRIES) {
            gossip_event(g, "chain not had", &p->alive.pk, p->n_tries);
            gossip_pending_remove(g, p);
            continue;
        }
        p->is_wanted = true;
        struct gossip_peer from = p->from;
        gossip_pending_ask(g, now_us, &from);
    }
}

uint64_t gossip_pending_deadline(const struct gossip *g)
{
    uint64_t due_us = NEVER_US;
    for (const struct gossip_pending_alive *p = g->pending.first; p != NULL; p = p->next) {
        if (!p->is_news) {
            due_us = IPX_MIN(due_us, p->due_us);
        }
    }
    return due_us;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

#include <stdio.h>

/* Commands and queries of the face. */

/* --- inputs of the node layer --- */

void gossip_on_join(struct gossip *g, uint64_t now_us, const struct gossip_peer *peer)
{
    g->now_us = now_us;
    if (node_id_equal(&peer->id, &g->key->pk)) {
        return;
    }
    g->sync.n_join = GOSSIP_SYNC_JOIN_TRIES;
    gossip_sync_join(g, now_us, peer);
}

static void look_at(struct gossip *g, uint64_t now_us, const struct node_id *peer)
{
    g->now_us = now_us;
    struct gossip_member *m = gossip_members_find(&g->members, peer);
    if (m != NULL && m != g->self && gossip_member_is_live(m)) {
        gossip_probe_start(g, now_us, m, GOSSIP_PROBE_WITNESS);
    }
}

void gossip_on_link_broken(struct gossip *g, uint64_t now_us, const struct node_id *peer)
{
    look_at(g, now_us, peer);
}

void gossip_on_unreachable(struct gossip *g, uint64_t now_us, const struct node_id *peer)
{
    look_at(g, now_us, peer);
}

void gossip_on_clock(struct gossip *g, uint64_t now_us, int64_t wall_ms)
{
    g->now_us = now_us;
    int64_t since_ms = (int64_t)((now_us - g->wall_at_us) / US_PER_MS);
    int64_t jump_ms = wall_ms - g->wall_ms - since_ms;
    if (jump_ms > GOSSIP_CLOCK_JUMP_MS || jump_ms < -GOSSIP_CLOCK_JUMP_MS) {
        g->keep_us = now_us;       /* who is over is looked at again */
        gossip_pending_forgive(g); /* what had not begun or had ended by a wrong clock */
    }
    g->wall_ms = wall_ms;
    g->wall_at_us = now_us;
}

void gossip_on_chain(struct gossip *g, uint64_t now_us, const struct cert_facts *facts,
                     struct slice chain)
{
    g->now_us = now_us;
    struct gossip_pending_alive *p = gossip_pending_find(g, &facts->id);
    const struct gossip_member *m = gossip_members_find(&g->members, &facts->id);
    if (p == NULL || !hash_equal(&p->alive.chain_hash, &facts->chain_hash) ||
        (m != NULL && (m == g->self || gossip_member_is_barred(m, &facts->chain_hash)))) {
        return; /* superseded while it was looked at */
    }
    if (m != NULL && gossip_member_compare(m, &p->alive.boot, p->alive.incarnation) <= 0) {
        gossip_pending_remove(g, p); /* a newer one came that went by the chain we hold */
        return;
    }
    struct gossip_peer from = p->from;
    uint16_t from_slot = gossip_slot_of(g, &from.id);
    gossip_verdict_apply(g, now_us, &p->alive, gossip_bytes_slice(&p->item), facts, chain,
                         from_slot);
    if (p->ad_item.len > 0) {
        struct gossip_item item;
        struct cbor_reader r = cbor_reader_of(gossip_bytes_slice(&p->ad_item));
        gossip_item_read(&r, &item);
        gossip_ads_hear(g, now_us, &item, &from);
    }
    /* an ad that came for a node refused for want of room is kept again: find it anew */
    p = gossip_pending_find(g, &facts->id);
    assert(p != NULL);
    gossip_pending_remove(g, p);
}

void gossip_on_chain_failed(struct gossip *g, uint64_t now_us, const struct node_id *id)
{
    g->now_us = now_us;
    struct gossip_pending_alive *p = gossip_pending_find(g, id);
    if (p != NULL) {
        gossip_event(g, "chain refused", id, 0);
        gossip_pending_refuse(g, now_us, p);
    }
}

enum ipx_err gossip_on_doc(struct gossip *g, uint64_t now_us, const struct node_id *from,
                           struct slice bytes)
{
    struct gossip_item item;
    struct gossip_ad_note note;
    struct cbor_reader r = cbor_reader_of(bytes);
    g->now_us = now_us;
    gossip_item_read(&r, &item);
    if (!cbor_done(&r) || item.kind != GOSSIP_KIND_AD ||
        gossip_ad_note_decode(item.body, &note) != IPX_OK) {
        return IPX_REFUSED;
    }
    struct gossip_peer peer = {.id = *from};
    gossip_ads_hear(g, now_us, &item, &peer);
    const struct gossip_member *m = gossip_members_find(&g->members, &note.pk);
    return m != NULL && m->ad_version == note.version ? IPX_OK : IPX_REFUSED;
}

/* --- commands --- */

void gossip_set_ad(struct gossip *g, uint64_t now_us, struct ad *ad)
{
    g->now_us = now_us;
    gossip_ads_set(g, now_us, ad);
}

void gossip_set_vitals(struct gossip *g, uint64_t now_us, const struct gossip_vitals *v)
{
    g->now_us = now_us;
    gossip_vitals_set(g, now_us, v);
}

void gossip_set_addrs(struct gossip *g, uint64_t now_us, const struct addr *addrs, unsigned n,
                      uint64_t record_seq)
{
    struct gossip_member *self = g->self;
    assert(n <= GOSSIP_ADDRS_MAX);
    g->now_us = now_us;
    memset(self->addrs, 0, sizeof(self->addrs));
    for (unsigned i = 0; i < n; i++) {
        self->addrs[i] = addrs[i];
    }
    self->n_addrs = (uint8_t)n;
    self->record_seq = record_seq;
    gossip_verdict_announce(g, now_us);
    gossip_sync_news(g, now_us);
}

enum ipx_err gossip_set_chain(struct gossip *g, uint64_t now_us, const struct cert_facts *facts,
                              struct slice chain)
{
    assert(node_id_equal(&facts->id, &g->key->pk) && chain.len <= GOSSIP_CHAIN_MAX);
    g->now_us = now_us;
    enum ipx_err err = gossip_bytes_set(g->mem, &g->self->chain, chain);
    if (err != IPX_OK) {
        return err;
    }
    g->self->facts = *facts;
    gossip_member_changed(&g->members, g->self);
    gossip_verdict_announce(g, now_us);
    gossip_sync_news(g, now_us);
    return IPX_OK;
}

void gossip_set_boot(struct gossip *g, uint64_t now_us, const struct gossip_boot *boot)
{
    assert(gossip_boot_compare(boot, &g->self->boot) > 0);
    g->now_us = now_us;
    g->self->boot = *boot;
    g->self->incarnation = 0;
    gossip_member_changed(&g->members, g->self);
    g->has_clone = g->has_clone && gossip_boot_compare(&g->clone, boot) > 0;
    g->is_clone_news = g->is_clone_news && g->has_clone;
    gossip_verdict_announce(g, now_us);
    if (g->self->ad != NULL) {
        gossip_ads_publish(g, now_us);
    }
    gossip_sync_news(g, now_us);
}

void gossip_leave(struct gossip *g, uint64_t now_us)
{
    g->now_us = now_us;
    gossip_verdict_leave_self(g, now_us);
    gossip_tick(g, now_us); /* the first round goes now */
}

void gossip_bar(struct gossip *g, uint64_t now_us, const struct node_id *id)
{
    g->now_us = now_us;
    struct gossip_pending_alive *p = gossip_pending_find(g, id);
    if (p != NULL) {
        gossip_pending_refuse(g, now_us, p);
    }
    struct gossip_member *m = gossip_members_find(&g->members, id);
    if (m != NULL && m != g->self && m->reason != GOSSIP_REASON_BARRED) {
        gossip_verdict_end(g, now_us, m, GOSSIP_REASON_BARRED);
    }
}

static enum ipx_err doc_insert(struct gossip *g, uint64_t now_us, enum gossip_doc_kind kind,
                               const struct hash *key, struct slice bytes, struct gossip_doc **ret)
{
    struct gossip_item item = {
        .kind = GOSSIP_KIND_DOC, .doc_kind = (uint8_t)kind, .key = *key, .body = bytes};
    assert(bytes.len > 0 && bytes.len <= GOSSIP_DOC_MAX);
    g->now_us = now_us;
    enum ipx_err err = gossip_docs_insert(&g->docs, &g->spread, &item, now_us, ret);
    if (err == IPX_OK) {
        (*ret)->from = g->key->pk;
    }
    return err;
}

enum ipx_err gossip_spread_doc(struct gossip *g, uint64_t now_us, enum gossip_doc_kind kind,
                               const struct hash *key, struct slice bytes)
{
    struct gossip_doc *doc;
    enum ipx_err err = doc_insert(g, now_us, kind, key, bytes, &doc);
    if (err == IPX_OK) {
        gossip_accept_doc(g, now_us, key, true);
    }
    return err;
}

enum ipx_err gossip_keep_doc(struct gossip *g, enum gossip_doc_kind kind, const struct hash *key,
                             struct slice bytes)
{
    struct gossip_doc *doc;
    enum ipx_err err = doc_insert(g, g->now_us, kind, key, bytes, &doc);
    if (err == IPX_OK) {
        doc->is_accepted = true;
    }
    return err;
}

void gossip_accept_doc(struct gossip *g, uint64_t now_us, const struct hash *key, bool is_good)
{
    g->now_us = now_us;
    struct gossip_doc *doc = gossip_docs_find(&g->docs, key);
    if (doc == NULL || doc->is_accepted) {
        return;
    }
    if (!is_good) {
        gossip_docs_remove(&g->docs, &g->spread, doc);
        return;
    }
    doc->is_accepted = true;
    gossip_spread_put(&g->spread, &doc->spread,
                      doc->kind == GOSSIP_DOC_REVOCATION ? GOSSIP_SPREAD_REVOCATION
                                                         : GOSSIP_SPREAD_DOC,
                      gossip_slot_of(g, &doc->from));
    gossip_sync_news(g, now_us);
}

bool gossip_fill(struct gossip *g, uint64_t now_us, const struct node_id *to, struct writer *w)
{
    struct gossip_packer p;
    size_t room = w->cap - w->len;
    g->now_us = now_us;
    if (g->spread.n == 0 || w->failed || room < 64) {
        return false;
    }
    gossip_packer_init(&p, IPX_MIN(room, (size_t)GOSSIP_BODY_MAX) - 8);
    gossip_spread_begin(&g->spread);
    gossip_spread_pack(g, gossip_slot_of(g, to), &p);
    if (p.n == 0) {
        return false;
    }
    struct gossip_msg msg = {.items = gossip_packer_items(&p)};
    gossip_msg_encode(GOSSIP_TYPE_SPREAD, &msg, w);
    assert(!w->failed);
    return true;
}

/* --- queries --- */

const struct gossip_member *gossip_find(const struct gossip *g, const struct node_id *id)
{
    return gossip_members_find(&g->members, id);
}

const struct gossip_member *gossip_self(const struct gossip *g)
{
    return g->self;
}

const struct gossip_member *gossip_next(const struct gossip *g, const struct gossip_member *m)
{
    return gossip_members_next(&g->members, m == NULL ? g->self : m);
}

uint32_t gossip_n_live(const struct gossip *g)
{
    return gossip_members_live(&g->members);
}

struct slice gossip_get_doc(const struct gossip *g, const struct node_id *id)
{
    const struct gossip_member *m = gossip_members_find(&g->members, id);
    return m == NULL ? SLICE_EMPTY : gossip_bytes_slice(&m->ad_item);
}

struct slice gossip_get_chain(const struct gossip *g, const struct node_id *id)
{
    const struct gossip_member *m = gossip_members_find(&g->members, id);
    return m == NULL ? SLICE_EMPTY : gossip_bytes_slice(&m->chain);
}

void gossip_display_name(const struct gossip *g, const struct gossip_member *m,
                         char out[static GOSSIP_NAME_SIZE])
{
    char shown[CERT_SHOWN_SIZE];
    bool keeps = true;
    uint32_t name = gossip_member_name(&m->facts);
    for (uint32_t slot = 0; slot < g->members.capacity; slot++) {
        const struct gossip_mark *mark = &g->members.marks[slot];
        const struct gossip_member *o = g->members.slots[slot];
        if (mark->is_live && mark->name == name && o != m &&
            strcmp(o->facts.name, m->facts.name) == 0 && strcmp(o->facts.lab, m->facts.lab) == 0 &&
            cert_name_keeper(&m->facts, &o->facts) != &m->facts) {
            keeps = false;
        }
    }
    cert_name_shown(&m->facts, keeps, shown);
    snprintf(out, GOSSIP_NAME_SIZE, "%s/%s", m->facts.lab, shown);
}

void gossip_check(const struct gossip *g)
{
    uint32_t n_news = 0;
    uint32_t n_pending = 0;
    uint32_t n_pending_news = 0;
    gossip_members_check(&g->members);
    gossip_spread_check(&g->spread);
    gossip_probe_check(g);
    gossip_sync_check(g);
    gossip_sync_marks_check(g);
    gossip_docs_check(&g->docs);
    for (const struct gossip_member *m = gossip_members_next(&g->members, NULL); m != NULL;
         m = gossip_members_next(&g->members, m)) {
        n_news += m->news != 0 ? 1 : 0;
        assert(m->alive.len > 0 && m->chain.len > 0);
        assert(m->state != GOSSIP_STATE_SUSPECT || g->suspect_next_us <= m->suspect_due_us);
        assert(m == g->self || (m->ad == NULL) == (m->ad_item.len == 0));
    }
    for (const struct gossip_pending_alive *p = g->pending.first; p != NULL; p = p->next) {
        n_pending++;
        n_pending_news += p->is_news ? 1 : 0;
    }
    for (const struct list *at = g->news.next; at != &g->news; at = at->next) {
        assert(n_news > 0);
        n_news--;
    }
    assert(n_news == 0);
    assert(n_pending == g->pending.n && n_pending <= GOSSIP_PENDING_MAX);
    assert(n_pending_news == g->pending.n_news);
    assert(g->self == g->members.slots[GOSSIP_SELF_SLOT]);
}

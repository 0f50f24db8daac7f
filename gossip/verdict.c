/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

/* What the subject says of itself: alive, leave. Accusations are in verdict_accuse.c. */

static void encode_own_alive(const struct gossip *g, struct gossip_alive *ret)
{
    const struct gossip_member *self = g->self;
    *ret = (struct gossip_alive){.pk = self->facts.id,
                                 .boot = self->boot,
                                 .incarnation = self->incarnation,
                                 .record_seq = self->record_seq,
                                 .n_addrs = self->n_addrs,
                                 .coat = self->coat,
                                 .chain_hash = crypt_hash(gossip_bytes_slice(&self->chain))};
    memcpy(ret->addrs, self->addrs, sizeof(ret->addrs));
}

void gossip_verdict_announce(struct gossip *g, uint64_t now_us)
{
    uint8_t body[512];
    uint8_t item[640];
    struct gossip_alive alive;
    struct gossip_member *self = g->self;
    if (self->state != GOSSIP_STATE_ALIVE) {
        return; /* we are leaving */
    }
    self->incarnation++;
    gossip_member_changed(&g->members, self);
    encode_own_alive(g, &alive);
    struct writer w = writer_of(body, sizeof(body));
    gossip_alive_encode(&alive, &w);
    struct writer out = writer_of(item, sizeof(item));
    gossip_item_sign(&out, GOSSIP_KIND_ALIVE, g->key, &g->mesh, writer_slice(&w), SLICE_EMPTY);
    assert(!w.failed && !out.failed);
    if (gossip_bytes_set(g->mem, &self->alive, writer_slice(&out)) != IPX_OK) {
        self->incarnation--; /* what is signed and what is known stay together */
        return;
    }
    gossip_spread_put(&g->spread, &self->spread_state, GOSSIP_SPREAD_STATE, GOSSIP_NO_SLOT);
    self->changed_us = now_us;
}

void gossip_verdict_leave_self(struct gossip *g, uint64_t now_us)
{
    uint8_t body[128];
    uint8_t item[256];
    struct gossip_member *self = g->self;
    if (self->state != GOSSIP_STATE_ALIVE) {
        return;
    }
    struct gossip_claim claim = {
        .about = self->facts.id, .boot = self->boot, .incarnation = self->incarnation};
    struct writer w = writer_of(body, sizeof(body));
    gossip_claim_encode(GOSSIP_KIND_LEAVE, &claim, &w);
    struct writer out = writer_of(item, sizeof(item));
    gossip_item_sign(&out, GOSSIP_KIND_LEAVE, g->key, &g->mesh, writer_slice(&w), SLICE_EMPTY);
    assert(!w.failed && !out.failed);
    if (gossip_bytes_set(g->mem, &self->leave, writer_slice(&out)) != IPX_OK) {
        return; /* the others find out as they find out a crash */
    }
    gossip_member_move(&g->members, self, now_us, GOSSIP_STATE_LEFT);
    self->reason = GOSSIP_REASON_LEFT;
    gossip_spread_put(&g->spread, &self->spread_state, GOSSIP_SPREAD_VERDICT, GOSSIP_NO_SLOT);
    g->round_us = 0; /* at once */
}

/* Our own key says alive. */
static void hear_own_alive(struct gossip *g, uint64_t now_us, const struct gossip_alive *alive,
                           const struct gossip_item *item)
{
    struct gossip_member *self = g->self;
    int order = gossip_member_compare(self, &alive->boot, alive->incarnation);
    if (order <= 0) {
        return; /* an old one of ours, or the echo of the present one */
    }
    if (!gossip_item_verify(item, &self->facts.id, &g->mesh)) {
        g->stats.n_refused++;
        return;
    }
    if (gossip_boot_compare(&alive->boot, &self->boot) > 0) {
        if (!g->has_clone || gossip_boot_compare(&alive->boot, &g->clone) > 0) {
            g->has_clone = true;
            g->is_clone_news = true;
            g->clone = alive->boot;
            gossip_event(g, "clone", NULL, alive->boot.generation);
        }
        return;
    }
    /* same boot, higher incarnation: a copy of this very process; the last to speak wins until
     * a boot tells them apart */
    self->incarnation = alive->incarnation;
    gossip_member_changed(&g->members, self); /* also while we leave and announce nothing */
    gossip_verdict_announce(g, now_us);
}

/* Older than what we hold: whoever says it may want to know. */
static void hear_old_alive(struct gossip *g, const struct gossip_member *m,
                           const struct gossip_alive *alive, const struct gossip_peer *from)
{
    if (m->reason == GOSSIP_REASON_BARRED) {
        return;
    }
    if (node_id_equal(&from->id, &alive->pk) && gossip_boot_compare(&alive->boot, &m->boot) < 0) {
        /* the node itself, in a boot before its last: its disk is old, or it runs twice;
         * one answer a statement */
        struct gossip_packer p;
        gossip_packer_init(&p, GOSSIP_ITEMS_LEN_MAX);
        gossip_packer_add(&p, gossip_bytes_slice(&m->alive));
        struct gossip_msg msg = {.items = gossip_packer_items(&p)};
        gossip_send(g, from, GOSSIP_TYPE_SPREAD, 0, &msg);
        return;
    }
    if (m->state == GOSSIP_STATE_LEFT) { /* the sender missed the leave */
        gossip_sync_push(g, from, m->slot, GOSSIP_WANT_STATE);
    }
}

void gossip_verdict_alive(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                          const struct gossip_peer *from)
{
    struct gossip_alive alive;
    if (gossip_alive_decode(item->body, &alive) != IPX_OK) {
        g->stats.n_malformed++;
        return;
    }
    if (node_id_equal(&alive.pk, &g->key->pk)) {
        hear_own_alive(g, now_us, &alive, item);
        return;
    }
    struct gossip_member *m = gossip_members_find(&g->members, &alive.pk);
    const struct gossip_pending_alive *p = gossip_pending_find(g, &alive.pk);
    if (m != NULL && (gossip_member_compare(m, &alive.boot, alive.incarnation) <= 0 ||
                      gossip_member_is_barred(m, &alive.chain_hash))) {
        hear_old_alive(g, m, &alive, from);
        return;
    }
    if (p != NULL && (gossip_boot_compare(&alive.boot, &p->alive.boot) < 0 ||
                      (gossip_boot_compare(&alive.boot, &p->alive.boot) == 0 &&
                       alive.incarnation <= p->alive.incarnation))) {
        return;
    }
    if (!crypt_key_is_valid(&alive.pk) || !gossip_item_verify(item, &alive.pk, &g->mesh)) {
        g->stats.n_refused++;
        return;
    }
    if (m != NULL && hash_equal(&m->facts.chain_hash, &alive.chain_hash)) {
        gossip_verdict_apply(g, now_us, &alive, item->raw, NULL, SLICE_EMPTY,
                             gossip_slot_of(g, &from->id));
        return;
    }
    if (!gossip_pending_is_refused(g, now_us, &alive.chain_hash)) {
        gossip_pending_add(g, now_us, &alive, item->raw, from);
    }
}

static struct gossip_member *apply_member(struct gossip *g, const struct gossip_alive *alive,
                                          const struct cert_facts *facts, struct slice chain)
{
    struct gossip_member *m = gossip_members_find(&g->members, &alive->pk);
    if (m == NULL) {
        if (!gossip_make_room(g) || gossip_members_insert(&g->members, facts, &m) != IPX_OK) {
            gossip_event(g, "zone full", &alive->pk, g->members.n);
            return NULL;
        }
        if (gossip_bytes_set(g->mem, &m->chain, chain) != IPX_OK) {
            gossip_forget(g, m);
            return NULL;
        }
    } else if (facts != NULL) {
        if (gossip_bytes_set(g->mem, &m->chain, chain) != IPX_OK) {
            return NULL;
        }
        m->facts = *facts;
    }
    return m;
}

/* A boot forgets what belonged to the boot before. */
static void apply_boot(struct gossip *g, struct gossip_member *m, const struct gossip_boot *boot)
{
    if (gossip_boot_compare(&m->boot, boot) != 0) {
        if (m->boot.generation != 0) {
            gossip_news(g, m, GOSSIP_NEWS_BOOT);
        }
        m->boot = *boot;
        m->vitals_us = 0;
        m->vitals = (struct gossip_vitals){0};
        m->srtt_us = m->rttvar_us = 0;
        gossip_spread_drop(&g->spread, &m->spread_vitals);
        gossip_bytes_clear(g->mem, &m->vitals_item);
    }
}

void gossip_verdict_apply(struct gossip *g, uint64_t now_us, const struct gossip_alive *alive,
                          struct slice item, const struct cert_facts *facts, struct slice chain,
                          uint16_t from_slot)
{
    struct gossip_member *m = apply_member(g, alive, facts, chain);
    if (m == NULL) {
        return;
    }
    if (gossip_bytes_set(g->mem, &m->alive, item) != IPX_OK) {
        if (m->alive.len == 0) {
            gossip_forget(g, m); /* nobody is a member without its statement */
        }
        return;
    }
    bool is_new = m->told == GOSSIP_TOLD_NONE || !gossip_member_is_live(m) ||
                  gossip_boot_compare(&m->boot, &alive->boot) != 0;
    bool was_dead = m->state == GOSSIP_STATE_DEAD;
    gossip_probe_undoubt(g, m);
    gossip_member_acquit(&g->members, &g->spread, m);
    apply_boot(g, m, &alive->boot);
    m->incarnation = alive->incarnation;
    gossip_member_changed(&g->members, m);
    m->record_seq = alive->record_seq;
    m->n_addrs = alive->n_addrs;
    memcpy(m->addrs, alive->addrs, sizeof(m->addrs));
    m->coat = alive->coat;
    gossip_bytes_clear(g->mem, &m->leave);
    if (m->state != GOSSIP_STATE_ALIVE) {
        gossip_member_move(&g->members, m, now_us, GOSSIP_STATE_ALIVE);
        gossip_event(g, "alive again", &m->facts.id, m->incarnation);
    }
    gossip_spread_put(&g->spread, &m->spread_state, GOSSIP_SPREAD_STATE, from_slot);
    gossip_news(g, m, 0);
    if (is_new) {
        m->changed_us = now_us;
        gossip_event(g, "up", &m->facts.id, m->incarnation);
        gossip_probe_wake(g, now_us);
        gossip_sync_news(g, now_us);
    }
    if (was_dead && now_us - g->sync.last_us > GOSSIP_SYNC_AGAIN_US) {
        struct gossip_peer peer = gossip_peer_of(m); /* the end of a partition, perhaps */
        gossip_sync_start(g, now_us, &peer);
    }
}

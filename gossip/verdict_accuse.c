/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

#include "base/plant.h"

/* Accusations: one vote each, a timer, a last look, a verdict (Lifeguard; overlay 3.2). */

uint32_t gossip_log10_milli(uint32_t n)
{
    /* log2 in 1/1024 by repeated squaring of a 2.30 fixed-point mantissa, then * log10(2) */
    uint32_t whole = 0;
    uint64_t x = n == 0 ? 1 : n;
    while ((x >> whole) > 1) {
        whole++;
    }
    x = (x << 30) >> whole;
    uint32_t fraction = 0;
    for (unsigned bit = 0; bit < 10; bit++) {
        x = (x * x) >> 30;
        fraction <<= 1;
        if (x >= (UINT64_C(2) << 30)) {
            fraction |= 1;
            x >>= 1;
        }
    }
    uint64_t log2_1024 = ((uint64_t)whole << 10) + fraction;
    uint32_t milli = (uint32_t)(log2_1024 * 30103 / (1024 * 100));
    return IPX_MAX(milli, UINT32_C(1000));
}

uint64_t gossip_suspicion_us(uint32_t n_live, unsigned n_confirmations)
{
    /* log(c + 1) / log(k + 1) in thousandths, for k = 1 and k = 2 */
    static const uint64_t shares[2][3] = {{0, 1000, 1000}, {0, 631, 1000}};
    /* besides us and the accused there may be too few to confirm at all */
    unsigned k = n_live <= 3 ? 1 : GOSSIP_SUSPICION_K;
    uint64_t min_us = GOSSIP_SUSPICION_ALPHA * (uint64_t)gossip_log10_milli(n_live) * US_PER_MS;
    if (n_live <= 2) {
        return min_us;
    }
    uint64_t max_us = GOSSIP_SUSPICION_BETA * min_us;
    uint64_t share = shares[k - 1][IPX_MIN(n_confirmations, 2U)];
    return max_us - (max_us - min_us) / 1000 * share;
}

bool gossip_member_died_lately(const struct gossip *g, const struct gossip_member *m)
{
    return m->state == GOSSIP_STATE_DEAD && m->reason == GOSSIP_REASON_DEAD &&
           g->now_us - m->changed_us < GOSSIP_DEAD_TOLD_US;
}

static bool has_dead_vote(const struct gossip_member *m)
{
    for (unsigned i = 0; i < m->n_accusers; i++) {
        if (m->accusers[i].is_dead) {
            return true;
        }
    }
    return false;
}

static void suspicion_arm(struct gossip *g, struct gossip_member *m)
{
    unsigned n = m->n_accusers > 0 ? m->n_accusers - 1U : 0;
    uint32_t n_live = gossip_members_live(&g->members);
    uint64_t lasts_us = gossip_suspicion_us(n_live, n);
    if (m->is_accused_by_self && has_dead_vote(m)) {
        /* another's timer ran out and our own probes failed: we missed the suspicion, and the
         * accused had its time to refute; half the shortest is left to it with us */
        lasts_us = IPX_MIN(lasts_us, gossip_suspicion_us(n_live, GOSSIP_SUSPICION_K) / 2);
    }
    /* the last look comes before the end, not after it: who stood still and is back has as long */
    uint64_t look_us = GOSSIP_PROBE_FINAL_TRIES * gossip_probe_final_us(g, m);
    m->suspect_due_us = m->suspect_us + lasts_us - IPX_MIN(look_us, lasts_us / 2);
    g->suspect_next_us = IPX_MIN(g->suspect_next_us, m->suspect_due_us);
}

static struct gossip_accuser *accuser_find(struct gossip_member *m, const struct node_id *by)
{
    for (unsigned i = 0; i < m->n_accusers; i++) {
        if (node_id_equal(&m->accusers[i].id, by)) {
            return &m->accusers[i];
        }
    }
    return NULL;
}

/* Where an accusation of `by` goes: its own older place, a free one, or, for the first verdict,
 * that of a mere suspicion. NULL: it is no news. */
static struct gossip_accuser *accuser_place(struct gossip_member *m, const struct node_id *by,
                                            bool is_dead)
{
    struct gossip_accuser *a = accuser_find(m, by);
    if (a != NULL) {
        return a->is_dead || !is_dead ? NULL : a;
    }
    if (m->n_accusers < GOSSIP_ACCUSERS_MAX) {
        return &m->accusers[m->n_accusers];
    }
    return is_dead && !has_dead_vote(m) ? &m->accusers[GOSSIP_ACCUSERS_MAX - 1] : NULL;
}

/* Keeps a verified accusation. True if it is news. */
static bool accuse(struct gossip *g, struct gossip_member *m, const struct node_id *by,
                   struct slice item, bool is_dead, uint16_t from_slot)
{
    struct gossip_accuser *a = accuser_place(m, by, is_dead);
    if (a == NULL) {
        return false;
    }
    if (gossip_bytes_set(g->mem, &a->item, item) != IPX_OK) {
        return false;
    }
    m->n_accusers = (uint8_t)IPX_MAX(m->n_accusers, a - m->accusers + 1);
    a->id = *by;
    a->is_dead = is_dead;
    gossip_spread_put(&g->spread, &a->spread, is_dead ? GOSSIP_SPREAD_VERDICT : GOSSIP_SPREAD_STATE,
                      from_slot);
    return true;
}

static void accuse_self(struct gossip *g, struct gossip_member *m, bool is_dead)
{
    uint8_t body[192];
    uint8_t item[288];
    enum gossip_kind kind = is_dead ? GOSSIP_KIND_DEAD : GOSSIP_KIND_SUSPECT;
    struct gossip_claim claim = {
        .by = g->key->pk, .about = m->facts.id, .boot = m->boot, .incarnation = m->incarnation};
    struct writer w = writer_of(body, sizeof(body));
    gossip_claim_encode(kind, &claim, &w);
    struct writer out = writer_of(item, sizeof(item));
    gossip_item_sign(&out, kind, g->key, &g->mesh, writer_slice(&w), SLICE_EMPTY);
    assert(!w.failed && !out.failed);
    m->is_accused_by_self = true;
    /* three others may accuse it already: then ours adds nothing */
    (void)accuse(g, m, &g->key->pk, writer_slice(&out), is_dead, GOSSIP_NO_SLOT);
}

static void suspicion_begin(struct gossip *g, uint64_t now_us, struct gossip_member *m)
{
    m->suspect_us = now_us;
    m->suspect_due_us = now_us; /* armed by the caller; the state asks for a time */
    gossip_member_move(&g->members, m, now_us, GOSSIP_STATE_SUSPECT);
    g->stats.n_suspicions++;
    gossip_event(g, "suspect", &m->facts.id, m->incarnation);
    gossip_news(g, m, 0);
    gossip_probe_step_in(g, now_us, m);
}

void gossip_verdict_suspect(struct gossip *g, uint64_t now_us, struct gossip_member *m)
{
    if (!gossip_member_is_live(m) || m->is_accused_by_self) {
        return;
    }
    if (m->state == GOSSIP_STATE_ALIVE) {
        suspicion_begin(g, now_us, m);
    }
    accuse_self(g, m, false);
    suspicion_arm(g, m);
    m->told_accused_us = 0;
    gossip_verdict_tell(g, now_us, m); /* the accused hears it first (buddy) */
}

void gossip_verdict_tell(struct gossip *g, uint64_t now_us, struct gossip_member *m)
{
    struct gossip_packer p;
    if (m->n_accusers == 0 ||
        (m->told_accused_us != 0 && now_us - m->told_accused_us < GOSSIP_TELL_ACCUSED_US)) {
        return;
    }
    m->told_accused_us = now_us;
    gossip_packer_init(&p, GOSSIP_BODY_MAX / 2);
    gossip_packer_add(&p, gossip_bytes_slice(&m->accusers[0].item));
    struct gossip_msg msg = {.items = gossip_packer_items(&p)};
    struct gossip_peer to = gossip_peer_of(m);
    gossip_send(g, &to, GOSSIP_TYPE_SPREAD, 0, &msg);
}

/* Somebody accuses us: a higher incarnation says otherwise. */
static void refute(struct gossip *g, uint64_t now_us, const struct gossip_claim *claim,
                   const struct gossip_item *item)
{
    const struct gossip_member *by = gossip_members_find(&g->members, &claim->by);
    if (IPX_PLANT(REFUTE) ||
        gossip_member_compare(g->self, &claim->boot, claim->incarnation) != 0 || by == NULL ||
        !gossip_item_verify(item, &claim->by, &g->mesh)) {
        return; /* answered already, or of an incarnation that we never had */
    }
    g->stats.n_refutes++;
    gossip_event(g, "refute", &claim->by, claim->incarnation);
    gossip_probe_health(g, 1);
    gossip_verdict_announce(g, now_us);
    g->round_us = 0; /* at once */
}

static void hear_leave(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                       const struct gossip_claim *claim, const struct gossip_item *item,
                       uint16_t from_slot)
{
    if (m->state == GOSSIP_STATE_LEFT || m->reason == GOSSIP_REASON_BARRED ||
        gossip_member_compare(m, &claim->boot, claim->incarnation) < 0) {
        return;
    }
    if (!gossip_item_verify(item, &m->facts.id, &g->mesh)) {
        g->stats.n_refused++;
        return;
    }
    if (gossip_bytes_set(g->mem, &m->leave, item->raw) != IPX_OK) {
        return;
    }
    gossip_probe_undoubt(g, m);
    gossip_member_acquit(&g->members, &g->spread, m);
    gossip_member_move(&g->members, m, now_us, GOSSIP_STATE_LEFT);
    m->reason = GOSSIP_REASON_LEFT;
    m->boot = claim->boot;
    m->incarnation = claim->incarnation;
    gossip_member_changed(&g->members, m);
    gossip_spread_put(&g->spread, &m->spread_state, GOSSIP_SPREAD_VERDICT, from_slot);
    gossip_event(g, "left", &m->facts.id, 0);
    gossip_news(g, m, 0);
    gossip_sync_news(g, now_us);
}

/* Another's timer ran out: look now, whatever ours says. */
static void hear_dead(struct gossip *g, uint64_t now_us, struct gossip_member *m)
{
    uint64_t min_us = gossip_suspicion_us(gossip_members_live(&g->members), GOSSIP_SUSPICION_K);
    if (now_us - m->suspect_us >= min_us) {
        m->suspect_due_us = now_us;
        g->suspect_next_us = IPX_MIN(g->suspect_next_us, now_us);
    } else if (!m->is_accused_by_self) {
        gossip_probe_start(g, now_us, m, GOSSIP_PROBE_WITNESS);
    }
}

static void hear_accusation(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                            const struct gossip_claim *claim, const struct gossip_item *item,
                            uint16_t from_slot)
{
    bool is_dead = item->kind == GOSSIP_KIND_DEAD;
    struct gossip_member *by = gossip_members_find(&g->members, &claim->by);
    if (gossip_member_died_lately(g, m) && from_slot != GOSSIP_NO_SLOT && !is_dead) {
        struct gossip_peer late = gossip_peer_of(g->members.slots[from_slot]);
        gossip_sync_push(g, &late, m->slot, GOSSIP_WANT_STATE);
        return;
    }
    if (!gossip_member_is_live(m) || by == NULL || by == g->self || by == m ||
        gossip_member_compare(m, &claim->boot, claim->incarnation) != 0 ||
        accuser_place(m, &claim->by, is_dead) == NULL) {
        return;
    }
    if (!gossip_bucket_take(&by->accuse_bucket, now_us, GOSSIP_ACCUSE_BURST,
                            GOSSIP_ACCUSE_REFILL_US) ||
        !gossip_item_verify(item, &claim->by, &g->mesh)) {
        g->stats.n_refused++;
        return;
    }
    if (m->state == GOSSIP_STATE_ALIVE) {
        suspicion_begin(g, now_us, m);
    }
    if (accuse(g, m, &claim->by, item->raw, is_dead, from_slot)) {
        if (m->is_accused_by_self) {
            gossip_probe_health(g, -2); /* others see the same: the fault is not ours */
        }
        gossip_probe_hearsay(g, now_us, m);
    }
    suspicion_arm(g, m);
    if (is_dead) {
        hear_dead(g, now_us, m);
    }
}

void gossip_verdict_claim(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                          const struct gossip_peer *from)
{
    struct gossip_claim claim;
    if (gossip_claim_decode(item->kind, item->body, &claim) != IPX_OK) {
        g->stats.n_malformed++;
        return;
    }
    if (node_id_equal(&claim.about, &g->key->pk)) {
        if (item->kind != GOSSIP_KIND_LEAVE) {
            refute(g, now_us, &claim, item);
        }
        return;
    }
    struct gossip_member *m = gossip_members_find(&g->members, &claim.about);
    if (m == NULL) {
        return;
    }
    uint16_t from_slot = gossip_slot_of(g, &from->id);
    if (item->kind == GOSSIP_KIND_LEAVE) {
        hear_leave(g, now_us, m, &claim, item, from_slot);
    } else {
        hear_accusation(g, now_us, m, &claim, item, from_slot);
    }
}

static void die(struct gossip *g, uint64_t now_us, struct gossip_member *m)
{
    if (!has_dead_vote(m)) { /* the first says it; the others only pass that on */
        accuse_self(g, m, true);
    }
    gossip_member_move(&g->members, m, now_us, GOSSIP_STATE_DEAD);
    m->reason = GOSSIP_REASON_DEAD;
    g->stats.n_deaths++;
    gossip_event(g, "dead", &m->facts.id, m->incarnation);
    gossip_news(g, m, 0);
    gossip_sync_news(g, now_us); /* whom the rumour missed holds it for live still */
}

void gossip_verdict_final(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                          bool has_answered)
{
    if (m->state != GOSSIP_STATE_SUSPECT) {
        return;
    }
    if (!has_answered) {
        die(g, now_us, m);
        return;
    }
    /* it lives: wait for it to refute, from the start */
    m->suspect_us = now_us;
    suspicion_arm(g, m);
}

void gossip_verdict_end(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                        enum gossip_reason reason)
{
    assert(m != g->self);
    gossip_probe_undoubt(g, m);
    gossip_member_acquit(&g->members, &g->spread, m);
    gossip_spread_drop(&g->spread, &m->spread_state);
    gossip_member_move(&g->members, m, now_us, GOSSIP_STATE_DEAD);
    m->reason = (uint8_t)reason;
    gossip_event(g, "ended", &m->facts.id, reason);
    gossip_news(g, m, 0);
}

void gossip_verdict_tick(struct gossip *g, uint64_t now_us)
{
    if (g->suspect_next_us > now_us) {
        return;
    }
    uint64_t next_us = NEVER_US;
    for (struct gossip_member *m = gossip_members_next(&g->members, NULL); m != NULL;
         m = gossip_members_next(&g->members, m)) {
        if (m->state != GOSSIP_STATE_SUSPECT) {
            continue;
        }
        if (m->suspect_due_us <= now_us) {
            /* a last look: at hearsay, or once more at what we saw ourselves, for it may have stood
             * still and be back; without room for it, a little later */
            bool is_started = gossip_probe_start(g, now_us, m, GOSSIP_PROBE_FINAL);
            m->suspect_due_us = now_us + (is_started ? US_PER_S * 4 : US_PER_S / 10);
        }
        next_us = IPX_MIN(next_us, m->suspect_due_us);
    }
    g->suspect_next_us = next_us;
}

void gossip_verdict_delay(struct gossip *g, uint64_t late_us)
{
    g->suspect_next_us = NEVER_US;
    for (struct gossip_member *m = gossip_members_next(&g->members, NULL); m != NULL;
         m = gossip_members_next(&g->members, m)) {
        if (m->state == GOSSIP_STATE_SUSPECT) {
            m->is_accused_by_self = false; /* what we saw is old: look again before the end */
            m->suspect_us += late_us;
            m->suspect_due_us += late_us;
            g->suspect_next_us = IPX_MIN(g->suspect_next_us, m->suspect_due_us);
        }
    }
}

uint64_t gossip_verdict_deadline(const struct gossip *g)
{
    return g->suspect_next_us;
}

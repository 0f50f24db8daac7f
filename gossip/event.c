/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

/* What the gossip modules share: telling poll, sending, spreading. */

void gossip_news(struct gossip *g, struct gossip_member *m, unsigned bits)
{
    if (m == g->self) {
        return; /* the node layer knows itself */
    }
    if (!list_is_linked(&m->news_link)) {
        list_push_back(&g->news, &m->news_link);
    }
    m->news = (uint16_t)(m->news | bits | GOSSIP_NEWS_STATE);
}

void gossip_send(struct gossip *g, const struct gossip_peer *to, enum gossip_type type,
                 uint32_t req_id, const struct gossip_msg *m)
{
    assert(!node_id_equal(&to->id, &g->key->pk));
    gossip_outbox_put(&g->out, to, type, req_id, m);
}

uint16_t gossip_slot_of(const struct gossip *g, const struct node_id *id)
{
    const struct gossip_member *m = gossip_members_find(&g->members, id);
    return m == NULL ? GOSSIP_NO_SLOT : m->slot;
}

void gossip_event(struct gossip *g, const char *event, const struct node_id *peer, uint64_t a)
{
    trace_emit(g->trace, g->now_us, TRACE_GOSSIP, event, peer, a, 0);
}

void gossip_forget(struct gossip *g, struct gossip_member *m)
{
    assert(m != g->self);
    gossip_sync_forget(g, m->slot);
    list_unlink(&m->news_link);
    g->prober.n_doubted = (uint16_t)(g->prober.n_doubted - (m->is_doubted ? 1 : 0));
    if (g->prober.urgent == m->slot) {
        g->prober.urgent = GOSSIP_NO_SLOT;
    }
    gossip_members_remove(&g->members, &g->spread, m);
}

bool gossip_make_room(struct gossip *g)
{
    if (g->members.n < g->members.capacity_max) {
        return true;
    }
    struct gossip_member *gone = gossip_members_oldest_gone(&g->members);
    if (gone == NULL || gone->news != 0) {
        return false;
    }
    gossip_forget(g, gone);
    return true;
}

/* --- spreading with the whole object --- */

static struct slice spread_bytes(const struct gossip_member *m, const struct gossip_spread_item *i)
{
    switch ((enum gossip_spread_what)i->kind) {
    case GOSSIP_WHAT_STATE:
        return gossip_bytes_slice(m->state == GOSSIP_STATE_LEFT ? &m->leave : &m->alive);
    case GOSSIP_WHAT_ACCUSER:
        return gossip_bytes_slice(&m->accusers[i->index].item);
    case GOSSIP_WHAT_AD:
        return gossip_bytes_slice(&m->ad_item);
    case GOSSIP_WHAT_VITALS:
        return gossip_bytes_slice(&m->vitals_item);
    case GOSSIP_WHAT_DOC:
        break;
    }
    return SLICE_EMPTY;
}

static bool spread_pack_one(struct gossip *g, struct gossip_spread_item *i, struct gossip_packer *p)
{
    struct gossip_item note;
    if (i->kind == GOSSIP_WHAT_DOC) {
        const struct gossip_doc *doc = CONTAINER_OF(i, struct gossip_doc, spread);
        return gossip_packer_add(p, gossip_bytes_slice(&doc->item));
    }
    struct slice s = spread_bytes(g->members.slots[i->slot], i);
    assert(s.len > 0);
    if (i->kind == GOSSIP_WHAT_AD && s.len > GOSSIP_ADS_INLINE_MAX) {
        return gossip_ads_note_item(s, &note) && gossip_packer_add_item(p, &note);
    }
    return gossip_packer_add(p, s);
}

/* Who told us, and the subject of what the subject itself said, know it already; of an
 * accusation the accused hears first. */
static bool spread_knows(const struct gossip_spread_item *i, uint16_t slot)
{
    return slot != GOSSIP_NO_SLOT &&
           (i->from == slot ||
            (i->slot == slot && i->kind != GOSSIP_WHAT_ACCUSER && i->kind != GOSSIP_WHAT_DOC));
}

/* Who lives besides us, who may have left. */
static uint32_t n_others(const struct gossip *g)
{
    return gossip_members_live(&g->members) - (gossip_member_is_live(g->self) ? 1 : 0);
}

/* Where exchanges follow news less often (GOSSIP_SYNC_CALM_N), what a member says of itself is told
 * more often: of 512, one or two would miss a join that is told six times. */
static unsigned spread_copies(const struct gossip_spread_item *i, unsigned limit, uint32_t n_live)
{
    if (i->class_ == GOSSIP_SPREAD_VITALS) {
        return IPX_MIN(limit, GOSSIP_VITALS_SENDS);
    }
    bool is_rare = i->class_ == GOSSIP_SPREAD_STATE && n_live > GOSSIP_SYNC_CALM_N;
    return limit + (is_rare ? GOSSIP_SPREAD_STATE_MORE : 0);
}

void gossip_spread_pack(struct gossip *g, uint16_t slot, struct gossip_packer *p)
{
    uint32_t n_live = gossip_members_live(&g->members);
    /* receivers are distinct until the ring is round: more copies than members are none */
    unsigned limit = IPX_MIN(gossip_spread_limit(n_live), IPX_MAX(n_others(g), 1U));
    struct gossip_spread_item *i = gossip_spread_next(&g->spread, NULL);
    for (unsigned n_missed = 0; i != NULL;) {
        struct gossip_spread_item *next = gossip_spread_next(&g->spread, i);
        if (spread_knows(i, slot) || spread_pack_one(g, i, p)) {
            gossip_spread_sent(&g->spread, i, spread_copies(i, limit, n_live));
        } else {
            n_missed++;
        }
        i = p->n < GOSSIP_ITEMS_MAX && n_missed < GOSSIP_SPREAD_MISSES ? next : NULL;
    }
}

static bool spread_is_target(const struct gossip *g, const struct gossip_member *m)
{
    if (m == g->self) {
        return false;
    }
    return gossip_member_is_live(m) || gossip_member_died_lately(g, m);
}

void gossip_spread_tick(struct gossip *g, uint64_t now_us)
{
    if (gossip_spread_deadline(g) > now_us) {
        return;
    }
    struct gossip_members *t = &g->members;
    unsigned burst = gossip_spread_burst(&g->spread);
    unsigned n = 0;
    for (uint32_t step = 0; step < t->n && n < GOSSIP_SPREAD_FANOUT; step++) {
        t->ring_spread = (t->ring_spread + 1) % t->n;
        const struct gossip_member *m = t->slots[t->ring[t->ring_spread]];
        if (spread_is_target(g, m)) {
            g->targets[n++] = (struct gossip_target){m->slot, (uint8_t)burst};
        }
    }
    g->round_us = now_us;
    for (; n < GOSSIP_SPREAD_FANOUT; n++) {
        g->targets[n] = (struct gossip_target){GOSSIP_NO_SLOT, 0};
    }
    g->is_round_new = true;
}

/* Nobody to tell: what is queued waits, and costs nothing. */
uint64_t gossip_spread_deadline(const struct gossip *g)
{
    if (g->spread.n == 0 || n_others(g) == 0) {
        return NEVER_US;
    }
    return g->round_us == 0 ? 0 : g->round_us + GOSSIP_SPREAD_ROUND_US;
}

bool gossip_spread_poll(struct gossip *g, struct gossip_peer *ret_to, struct slice *ret_body)
{
    for (unsigned i = 0; i < GOSSIP_SPREAD_FANOUT; i++) {
        struct gossip_target *target = &g->targets[i];
        const struct gossip_member *m =
            target->n_packets == 0 ? NULL : g->members.slots[target->slot];
        if (m == NULL) {
            target->n_packets = 0;
            continue;
        }
        if (g->is_round_new || g->present_target != target->slot) {
            gossip_spread_begin(&g->spread);
            g->is_round_new = false;
            g->present_target = target->slot;
        }
        struct gossip_packer p;
        gossip_packer_init(&p, GOSSIP_ITEMS_LEN_MAX);
        gossip_spread_pack(g, target->slot, &p);
        target->n_packets = (uint8_t)(p.n == 0 ? 0 : target->n_packets - 1);
        if (p.n > 0) {
            struct gossip_msg msg = {.items = gossip_packer_items(&p)};
            struct writer w = writer_of(g->out.body, sizeof(g->out.body));
            gossip_msg_encode(GOSSIP_TYPE_SPREAD, &msg, &w);
            assert(!w.failed);
            *ret_to = gossip_peer_of(m);
            *ret_body = writer_slice(&w);
            return true;
        }
    }
    return false;
}

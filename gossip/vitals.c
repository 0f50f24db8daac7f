/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

void gossip_vitals_encode(const struct gossip_vitals *v, uint8_t out[static GOSSIP_VITALS_LEN])
{
    struct writer w = writer_of(out, GOSSIP_VITALS_LEN);
    writer_u16(&w, v->free_slots);
    writer_u16(&w, v->free_cores);
    writer_u16(&w, v->load_permille);
    writer_u8(&w, v->flags);
    writer_u8(&w, 0);
    writer_u32(&w, v->mem_free_mib);
    writer_u32(&w, v->queue_wait_ms);
    writer_bytes(&w, slice_of(v->gpu_free, sizeof(v->gpu_free)));
    writer_u32(&w, v->epoch);
    assert(!w.failed && w.len == GOSSIP_VITALS_LEN);
}

void gossip_vitals_decode(const uint8_t in[static GOSSIP_VITALS_LEN], struct gossip_vitals *ret)
{
    struct reader r = reader_of(slice_of(in, GOSSIP_VITALS_LEN));
    ret->free_slots = reader_u16(&r);
    ret->free_cores = reader_u16(&r);
    ret->load_permille = reader_u16(&r);
    ret->flags = reader_u8(&r);
    (void)reader_u8(&r); /* spare */
    ret->mem_free_mib = reader_u32(&r);
    ret->queue_wait_ms = reader_u32(&r);
    reader_copy(&r, ret->gpu_free, sizeof(ret->gpu_free));
    ret->epoch = reader_u32(&r);
    assert(reader_done(&r));
}

static unsigned log2_step(uint64_t v)
{
    unsigned step = 0;
    while (v > 0) {
        step++;
        v >>= 1;
    }
    return step;
}

static unsigned step_distance(uint64_t a, uint64_t b)
{
    unsigned sa = log2_step(a);
    unsigned sb = log2_step(b);
    unsigned d = sa > sb ? sa - sb : sb - sa;
    bool is_edge = (a == 0) != (b == 0) || d >= 2;
    return is_edge ? 2 : d;
}

static uint32_t far(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

unsigned gossip_vitals_distance(const struct gossip_vitals *a, const struct gossip_vitals *b)
{
    unsigned d = a->flags != b->flags ? 2 : 0;
    d = IPX_MAX(d, step_distance(a->free_slots, b->free_slots));
    d = IPX_MAX(d, step_distance(a->free_cores, b->free_cores));
    d = IPX_MAX(d, step_distance(a->queue_wait_ms, b->queue_wait_ms));
    /* load and memory never rest: a tenth of all cores, a half of the memory is a move, wherever
     * it begins, and neither of them makes a slot free */
    unsigned load = far(a->load_permille, b->load_permille) >= 100 ? 1 : 0;
    unsigned memory =
        far(a->mem_free_mib, b->mem_free_mib) > IPX_MAX(a->mem_free_mib, b->mem_free_mib) / 2 ? 1
                                                                                              : 0;
    d = IPX_MAX(d, IPX_MAX(load, memory));
    for (unsigned i = 0; i < GOSSIP_VITALS_GPUS; i++) {
        d = IPX_MAX(d, IPX_MIN(far(a->gpu_free[i], b->gpu_free[i]), 2U));
    }
    return d;
}

static uint64_t vitals_interval_us(const struct gossip *g)
{
    uint64_t share_us = gossip_members_live(&g->members) * US_PER_S / GOSSIP_VITALS_RATE;
    return IPX_MAX(share_us, GOSSIP_VITALS_INTERVAL_US);
}

/* A quarter of the budget is for edges: some may come early, then one in four intervals. */
static uint64_t vitals_edge_refill_us(const struct gossip *g)
{
    return 4 * vitals_interval_us(g);
}

/* As they are written: the bytes between fields do not count. */
static bool vitals_equal(const struct gossip_vitals *a, const struct gossip_vitals *b)
{
    uint8_t ours[GOSSIP_VITALS_LEN], theirs[GOSSIP_VITALS_LEN];
    gossip_vitals_encode(a, ours);
    gossip_vitals_encode(b, theirs);
    return memcmp(ours, theirs, sizeof(ours)) == 0;
}

void gossip_vitals_set(struct gossip *g, uint64_t now_us, const struct gossip_vitals *v)
{
    struct gossip_vitals *own = &g->self->vitals;
    struct gossip_vitals next = *v;
    next.epoch = own->epoch;
    bool is_same = g->self->vitals_us != 0 && vitals_equal(own, &next);
    next.epoch += is_same ? 0 : 1;
    *own = next;
    g->self->vitals_us = now_us + 1; /* 0 means never */
}

void gossip_vitals_hear(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                        const struct gossip_vitals *v)
{
    if (m->vitals_us != 0 && v->epoch < m->vitals.epoch) {
        return; /* older than what is known of this boot */
    }
    bool is_news = m->vitals_us == 0 || !vitals_equal(&m->vitals, v);
    m->vitals = *v;
    m->vitals_us = now_us + 1;
    if (is_news) {
        gossip_news(g, m, GOSSIP_NEWS_VITALS);
    }
}

static void vitals_publish(struct gossip *g, uint64_t now_us)
{
    uint8_t body[160];
    uint8_t item[256];
    struct gossip_member *self = g->self;
    struct gossip_vitals_note note = {
        .prefix = gossip_prefix(&self->facts.id), .boot = self->boot, .vitals = self->vitals};
    struct writer w = writer_of(body, sizeof(body));
    gossip_vitals_note_encode(&note, &w);
    struct writer out = writer_of(item, sizeof(item));
    gossip_item_sign(&out, GOSSIP_KIND_VITALS, g->key, &g->mesh, writer_slice(&w), SLICE_EMPTY);
    assert(!w.failed && !out.failed);
    if (gossip_bytes_set(g->mem, &self->vitals_item, writer_slice(&out)) == IPX_OK) {
        g->vitals_told = self->vitals;
        g->vitals_told_us = now_us + 1;
        gossip_spread_put(&g->spread, &self->spread_vitals, GOSSIP_SPREAD_VITALS, GOSSIP_NO_SLOT);
    }
}

static uint64_t vitals_due_us(const struct gossip *g)
{
    if (g->self->vitals_us == 0 || g->members.n < 2) {
        return NEVER_US;
    }
    if (g->vitals_told_us == 0) {
        return 0;
    }
    unsigned d = gossip_vitals_distance(&g->vitals_told, &g->self->vitals);
    uint64_t due_us = g->vitals_told_us + vitals_interval_us(g);
    if (d < 2) {
        return d == 0 ? NEVER_US : due_us;
    }
    uint64_t early_us = g->vitals_told_us + GOSSIP_VITALS_EDGE_US;
    if (g->edge_bucket.filled_us != 0 && g->edge_bucket.tokens == 0) {
        early_us = IPX_MAX(early_us, g->edge_bucket.filled_us + vitals_edge_refill_us(g));
    }
    return IPX_MIN(due_us, early_us);
}

void gossip_vitals_tick(struct gossip *g, uint64_t now_us)
{
    if (vitals_due_us(g) > now_us) {
        return;
    }
    bool is_early = g->vitals_told_us != 0 && now_us < g->vitals_told_us + vitals_interval_us(g);
    if (!is_early || gossip_bucket_take(&g->edge_bucket, now_us, GOSSIP_VITALS_EDGE_BURST,
                                        vitals_edge_refill_us(g))) {
        vitals_publish(g, now_us);
    }
}

uint64_t gossip_vitals_deadline(const struct gossip *g)
{
    /* what is no edge waits for the next probe tick */
    unsigned d = gossip_vitals_distance(&g->vitals_told, &g->self->vitals);
    return d >= 2 ? vitals_due_us(g) : NEVER_US;
}

void gossip_vitals_item(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                        const struct gossip_peer *from)
{
    struct gossip_vitals_note note;
    if (gossip_vitals_note_decode(item->body, &note) != IPX_OK) {
        g->stats.n_malformed++;
        return;
    }
    struct gossip_member *m = gossip_members_prefix(&g->members, note.prefix);
    if (m == NULL || m == g->self || gossip_boot_compare(&m->boot, &note.boot) != 0) {
        return;
    }
    struct gossip_vitals_note held;
    struct gossip_item old = {0};
    if (m->vitals_item.len > 0) {
        struct cbor_reader r = cbor_reader_of(gossip_bytes_slice(&m->vitals_item));
        gossip_item_read(&r, &old);
        if (gossip_vitals_note_decode(old.body, &held) == IPX_OK &&
            held.vitals.epoch >= note.vitals.epoch) {
            return;
        }
    }
    if (!gossip_item_verify(item, &m->facts.id, &g->mesh)) {
        g->stats.n_refused++;
        return;
    }
    if (gossip_bytes_set(g->mem, &m->vitals_item, item->raw) == IPX_OK) {
        gossip_spread_put(&g->spread, &m->spread_vitals, GOSSIP_SPREAD_VITALS,
                          gossip_slot_of(g, &from->id));
        gossip_vitals_hear(g, now_us, m, &note.vitals);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

/* --- own --- */

void gossip_ads_publish(struct gossip *g, uint64_t now_us)
{
    uint8_t content[GOSSIP_AD_MAX];
    uint8_t body[256];
    uint8_t item[GOSSIP_AD_ITEM_MAX];
    struct gossip_member *self = g->self;
    assert(self->ad != NULL);
    struct writer w = writer_of(content, sizeof(content));
    ad_encode(self->ad, &w);
    assert(!w.failed); /* an ad is never longer than LABEL_AD_BYTES_MAX */
    struct gossip_ad_note note = {.pk = self->facts.id,
                                  .boot = self->boot,
                                  .version = self->ad_version + 1,
                                  .hash = crypt_hash(writer_slice(&w)),
                                  .len = (uint16_t)w.len};
    struct writer b = writer_of(body, sizeof(body));
    gossip_ad_note_encode(&note, &b);
    struct writer out = writer_of(item, sizeof(item));
    gossip_item_sign(&out, GOSSIP_KIND_AD, g->key, &g->mesh, writer_slice(&b), writer_slice(&w));
    assert(!b.failed && !out.failed);
    if (gossip_bytes_set(g->mem, &self->ad_item, writer_slice(&out)) != IPX_OK) {
        g->ad_next = ad_ref(self->ad); /* again in a while */
        g->ad_next_us = now_us + GOSSIP_ADS_REFILL_US;
        return;
    }
    self->ad_version++;
    self->ad_boot = self->boot;
    gossip_member_changed(&g->members, self);
    self->ad_us = now_us;
    gossip_spread_put(&g->spread, &self->spread_ad, GOSSIP_SPREAD_AD, GOSSIP_NO_SLOT);
    gossip_sync_news(g, now_us);
}

static void ads_try(struct gossip *g, uint64_t now_us)
{
    struct gossip_member *self = g->self;
    if (!gossip_bucket_take(&self->ad_bucket, now_us, GOSSIP_ADS_BURST, GOSSIP_ADS_REFILL_US)) {
        g->ad_next_us = self->ad_bucket.filled_us + GOSSIP_ADS_REFILL_US;
        return;
    }
    struct ad *ad = TAKE(g->ad_next);
    ad_unref(self->ad);
    self->ad = ad;
    gossip_ads_publish(g, now_us);
}

void gossip_ads_set(struct gossip *g, uint64_t now_us, struct ad *ad)
{
    ad_unref(g->ad_next);
    g->ad_next = ad_ref(ad);
    g->ad_next_us = now_us;
    ads_try(g, now_us);
}

void gossip_ads_tick(struct gossip *g, uint64_t now_us)
{
    if (g->ad_next != NULL && g->ad_next_us <= now_us) {
        ads_try(g, now_us);
    }
}

uint64_t gossip_ads_deadline(const struct gossip *g)
{
    return g->ad_next == NULL ? NEVER_US : g->ad_next_us;
}

/* --- of others --- */

static int note_compare(const struct gossip_member *m, const struct gossip_ad_note *n)
{
    if (m->ad_version == 0) {
        return 1;
    }
    int order = gossip_boot_compare(&n->boot, &m->ad_boot);
    if (order != 0 || n->version == m->ad_version) {
        return order;
    }
    return n->version < m->ad_version ? -1 : 1;
}

/* A fixed name of hardware or software is anybody's; other names obey the certificate. */
static bool ad_is_allowed(const struct gossip_member *m, const struct ad *ad)
{
    for (unsigned i = 0; i < ad->n_labels; i++) {
        struct slice name = ad->labels[i].name;
        if (!label_name_is_reserved(name) && !cert_prefixes_cover(&m->facts.prefixes, name)) {
            return false;
        }
    }
    return true;
}

/* The whole ad is here: check, keep, pass on. */
static void hear_content(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                         const struct gossip_ad_note *note, const struct gossip_item *item,
                         uint16_t from_slot)
{
    struct ad *ad = NULL;
    struct hash hash = crypt_hash(item->extra);
    if (item->extra.len != note->len || !hash_equal(&hash, &note->hash) ||
        ad_decode(item->extra, g->mem, &ad) != IPX_OK) {
        g->stats.n_refused++;
        return;
    }
    if (!ad_is_allowed(m, ad) || gossip_bytes_set(g->mem, &m->ad_item, item->raw) != IPX_OK) {
        g->stats.n_refused++;
        ad_unref(ad);
        return;
    }
    ad_unref(m->ad);
    m->ad = ad;
    m->ad_boot = note->boot;
    m->ad_version = note->version;
    gossip_member_changed(&g->members, m);
    m->ad_us = now_us;
    m->fetch_us = 0;
    m->news &= (uint16_t)~GOSSIP_NEWS_FETCH;
    gossip_event(g, "ad", &m->facts.id, note->version);
    gossip_spread_put(&g->spread, &m->spread_ad, GOSSIP_SPREAD_AD, from_slot);
    gossip_news(g, m, GOSSIP_NEWS_AD);
    gossip_sync_news(g, now_us);
}

/* Only announced: have the node layer fetch it, from a member. */
static void hear_note(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                      const struct gossip_ad_note *note, uint16_t from_slot)
{
    bool is_asked = m->fetch_us != 0 && now_us - m->fetch_us < GOSSIP_ADS_FETCH_US &&
                    m->fetch.version >= note->version;
    if (is_asked || from_slot == GOSSIP_NO_SLOT) {
        return;
    }
    m->fetch = *note;
    m->fetch_us = now_us + 1; /* 0 means never */
    m->fetch_from = from_slot;
    gossip_news(g, m, GOSSIP_NEWS_FETCH);
}

void gossip_ads_hear(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                     const struct gossip_peer *from)
{
    struct gossip_ad_note note;
    if (gossip_ad_note_decode(item->body, &note) != IPX_OK) {
        g->stats.n_malformed++;
        return;
    }
    struct gossip_member *m = gossip_members_find(&g->members, &note.pk);
    if (m == NULL) {
        gossip_pending_ad(g, &note.pk, item->raw);
        return;
    }
    bool is_later = gossip_boot_compare(&note.boot, &m->boot) > 0; /* than its alive: wait */
    if (m == g->self || is_later || note_compare(m, &note) <= 0) {
        return;
    }
    if (!gossip_item_verify(item, &note.pk, &g->mesh)) {
        g->stats.n_refused++;
        return;
    }
    uint16_t from_slot = gossip_slot_of(g, &from->id);
    if (item->kind == GOSSIP_KIND_AD_NOTE) {
        hear_note(g, now_us, m, &note, from_slot);
    } else if (gossip_bucket_take(&m->ad_bucket, now_us, GOSSIP_ADS_HEARD_BURST,
                                  GOSSIP_ADS_HEARD_REFILL_US)) {
        hear_content(g, now_us, m, &note, item, from_slot);
    } else {
        g->stats.n_refused++;
    }
}

bool gossip_ads_note_item(struct slice ad_item, struct gossip_item *ret)
{
    struct cbor_reader r = cbor_reader_of(ad_item);
    struct gossip_item item;
    gossip_item_read(&r, &item);
    if (r.failed || item.kind != GOSSIP_KIND_AD) {
        return false;
    }
    *ret = (struct gossip_item){.kind = GOSSIP_KIND_AD_NOTE, .body = item.body, .sig = item.sig};
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/docs.h"

void gossip_docs_init(struct gossip_docs *d, struct mem *mem)
{
    *d = (struct gossip_docs){.mem = mem};
}

void gossip_docs_done(struct gossip_docs *d, struct gossip_spread *q)
{
    while (d->n > 0) {
        gossip_docs_remove(d, q, d->slots[d->n - 1]);
    }
    mem_free(d->mem, d->slots);
    *d = (struct gossip_docs){0};
}

static uint64_t key_prefix(const struct hash *key)
{
    return load_be64(key->bytes);
}

uint64_t gossip_doc_prefix(const struct gossip_doc *doc)
{
    return key_prefix(&doc->key);
}

uint32_t gossip_docs_lower(const struct gossip_docs *d, uint64_t prefix)
{
    uint32_t low = 0;
    uint32_t high = d->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (gossip_doc_prefix(d->slots[mid]) < prefix) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Index where the key is, or would be. */
static uint32_t docs_position(const struct gossip_docs *d, const struct hash *key)
{
    uint32_t i = gossip_docs_lower(d, key_prefix(key));
    while (i < d->n && memcmp(d->slots[i]->key.bytes, key->bytes, sizeof(key->bytes)) < 0) {
        i++;
    }
    return i;
}

struct gossip_doc *gossip_docs_find(const struct gossip_docs *d, const struct hash *key)
{
    uint32_t i = docs_position(d, key);
    return i < d->n && hash_equal(&d->slots[i]->key, key) ? d->slots[i] : NULL;
}

struct gossip_doc *gossip_docs_prefix(const struct gossip_docs *d, uint64_t prefix)
{
    uint32_t i = gossip_docs_lower(d, prefix);
    return i < d->n && gossip_doc_prefix(d->slots[i]) == prefix ? d->slots[i] : NULL;
}

static struct gossip_doc *docs_oldest_redemption(const struct gossip_docs *d)
{
    struct gossip_doc *oldest = NULL;
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->slots[i]->kind != GOSSIP_DOC_REVOCATION &&
            (oldest == NULL || d->slots[i]->since_us < oldest->since_us)) {
            oldest = d->slots[i];
        }
    }
    return oldest;
}

static enum ipx_err docs_room(struct gossip_docs *d, struct gossip_spread *q)
{
    if (d->n == GOSSIP_DOCS_MAX) {
        struct gossip_doc *oldest = docs_oldest_redemption(d);
        if (oldest == NULL) {
            return IPX_FULL;
        }
        gossip_docs_remove(d, q, oldest);
    }
    if (d->n == d->capacity) {
        uint32_t capacity = d->capacity == 0 ? GOSSIP_DOCS_STEP : d->capacity * 2;
        void *slots = mem_realloc(d->mem, d->slots, capacity * sizeof(struct gossip_doc *));
        if (slots == NULL) {
            return IPX_NO_MEMORY;
        }
        d->slots = slots;
        d->capacity = capacity;
    }
    return IPX_OK;
}

enum ipx_err gossip_docs_insert(struct gossip_docs *d, struct gossip_spread *q,
                                const struct gossip_item *item, uint64_t now_us,
                                struct gossip_doc **ret)
{
    assert(item->kind == GOSSIP_KIND_DOC && item->body.len <= GOSSIP_DOC_MAX);
    if (gossip_docs_find(d, &item->key) != NULL) {
        return IPX_EXISTS;
    }
    enum ipx_err err = docs_room(d, q);
    if (err != IPX_OK) {
        return err;
    }
    uint8_t raw[GOSSIP_DOC_MAX + 64];
    struct writer w = writer_of(raw, sizeof(raw));
    gossip_item_put(&w, item);
    assert(!w.failed);
    struct gossip_doc *doc = mem_alloc(d->mem, sizeof(*doc));
    if (doc == NULL || gossip_bytes_set(d->mem, &doc->item, writer_slice(&w)) != IPX_OK) {
        mem_free(d->mem, doc);
        return IPX_NO_MEMORY;
    }
    doc->key = item->key;
    doc->kind = item->doc_kind;
    doc->since_us = now_us;
    gossip_spread_item_init(&doc->spread, GOSSIP_WHAT_DOC, 0, 0);
    uint32_t at = docs_position(d, &doc->key);
    memmove(&d->slots[at + 1], &d->slots[at], (d->n - at) * sizeof(struct gossip_doc *));
    d->slots[at] = doc;
    d->n++;
    *ret = doc;
    return IPX_OK;
}

void gossip_docs_remove(struct gossip_docs *d, struct gossip_spread *q, struct gossip_doc *doc)
{
    uint32_t at = docs_position(d, &doc->key);
    assert(d->slots[at] == doc);
    if (q != NULL) {
        gossip_spread_drop(q, &doc->spread);
    }
    d->n_news -= doc->is_news ? 1 : 0;
    memmove(&d->slots[at], &d->slots[at + 1], (d->n - at - 1) * sizeof(struct gossip_doc *));
    d->n--;
    gossip_bytes_clear(d->mem, &doc->item);
    mem_free(d->mem, doc);
}

void gossip_docs_tick(struct gossip_docs *d, struct gossip_spread *q, uint64_t now_us)
{
    for (uint32_t i = d->n; i > 0; i--) {
        if (now_us - d->slots[i - 1]->since_us > GOSSIP_DOC_LIFE_US) {
            gossip_docs_remove(d, q, d->slots[i - 1]);
        }
    }
}

void gossip_docs_check(const struct gossip_docs *d)
{
    uint32_t n_news = 0;
    assert(d->n <= d->capacity && d->n <= GOSSIP_DOCS_MAX);
    for (uint32_t i = 0; i < d->n; i++) {
        n_news += d->slots[i]->is_news ? 1 : 0;
        assert(d->slots[i]->item.len > 0);
        assert(i == 0 || memcmp(d->slots[i - 1]->key.bytes, d->slots[i]->key.bytes,
                                sizeof(d->slots[i]->key.bytes)) < 0);
    }
    assert(n_news == d->n_news);
}

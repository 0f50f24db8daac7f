/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/store.h"

void dht_store_init(struct dht_store *s, const struct dht_store_config *config)
{
    *s = (struct dht_store){.mem = config->mem,
                            .mesh = config->mesh,
                            .self = config->self,
                            .n_max = config->n_max > 0 ? config->n_max : DHT_STORE_RECORDS_MAX,
                            .bytes_max =
                                config->bytes_max > 0 ? config->bytes_max : DHT_STORE_BYTES_MAX};
    list_init(&s->records);
}

static size_t size_of(const struct dht_held *h)
{
    return sizeof(*h) + h->len;
}

static void drop(struct dht_store *s, struct dht_held *h)
{
    assert(s->n > 0 && s->bytes >= size_of(h));
    list_unlink(&h->link);
    s->n--;
    s->bytes -= size_of(h);
    mem_free(s->mem, h);
}

void dht_store_done(struct dht_store *s)
{
    struct dht_held *h;
    struct list *tmp;
    if (s->mem == NULL) {
        return;
    }
    LIST_EACH(h, tmp, &s->records, struct dht_held, link)
    {
        drop(s, h);
    }
    assert(s->n == 0 && s->bytes == 0);
    s->mem = NULL;
}

static bool is_same_pos(const struct dht_pos *a, const struct dht_pos *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static struct dht_held *find(const struct dht_store *s, const struct dht_pos *key)
{
    struct dht_held *h;
    struct list *tmp;
    LIST_EACH(h, tmp, &s->records, struct dht_held, link)
    {
        if (is_same_pos(&h->key, key)) {
            return h;
        }
    }
    return NULL;
}

const struct dht_held *dht_store_get(const struct dht_store *s, uint64_t now_us,
                                     const struct dht_pos *key)
{
    const struct dht_held *h = find(s, key);
    return h != NULL && h->expires_us > now_us ? h : NULL;
}

void dht_store_remove(struct dht_store *s, const struct dht_pos *key)
{
    struct dht_held *h = find(s, key);
    if (h != NULL) {
        drop(s, h);
    }
}

void dht_store_sweep(struct dht_store *s, uint64_t now_us)
{
    struct dht_held *h;
    struct list *tmp;
    LIST_EACH(h, tmp, &s->records, struct dht_held, link)
    {
        if (h->expires_us <= now_us) {
            drop(s, h);
        }
    }
}

/* The one to give up first: farthest from us, then soonest to expire. */
static struct dht_held *find_worst(const struct dht_store *s)
{
    struct dht_held *h, *worst = NULL;
    struct list *tmp;
    LIST_EACH(h, tmp, &s->records, struct dht_held, link)
    {
        int order = worst == NULL ? 1 : dht_pos_compare(&s->self, &h->key, &worst->key);
        if (order > 0 || (order == 0 && h->expires_us < worst->expires_us)) {
            worst = h;
        }
    }
    return worst;
}

/* Room for `size` bytes more; gives up only what is farther from us than `key`. */
static bool make_room(struct dht_store *s, const struct dht_pos *key, size_t size)
{
    while (s->n >= s->n_max || s->bytes + size > s->bytes_max) {
        struct dht_held *worst = find_worst(s);
        if (worst == NULL || dht_pos_compare(&s->self, &worst->key, key) <= 0) {
            return false;
        }
        drop(s, worst);
    }
    return true;
}

static uint64_t expiry(const struct dht_put *put)
{
    int64_t until_ms = put->facts->not_after_ms;
    if (until_ms <= put->wall_ms) {
        return 0;
    }
    uint64_t left_ms = (uint64_t)until_ms - (uint64_t)put->wall_ms;
    uint64_t ttl_ms = IPX_MIN(left_ms, DHT_RECORD_TTL_US / US_PER_MS);
    return put->now_us + ttl_ms * US_PER_MS;
}

static enum dht_status insert(struct dht_store *s, const struct dht_put *put, uint64_t seq,
                              uint64_t expires_us)
{
    size_t size = sizeof(struct dht_held) + put->bytes.len;
    if (!make_room(s, &put->facts->pos, size)) {
        return DHT_STATUS_FULL;
    }
    struct dht_held *h = mem_alloc(s->mem, size);
    if (h == NULL) {
        return DHT_STATUS_FULL;
    }
    h->key = put->facts->pos;
    h->seq = seq;
    h->expires_us = expires_us;
    h->len = (uint16_t)put->bytes.len;
    memcpy(h->bytes, put->bytes.data, put->bytes.len);
    list_push_back(&s->records, &h->link);
    s->n++;
    s->bytes += size;
    return DHT_STATUS_OK;
}

/* What is held under this key decides: DHT_STATUS_OK lets the new one take its place. */
static enum dht_status compare_held(struct dht_store *s, const struct dht_put *put,
                                    struct dht_held *held, uint64_t seq, bool *ret_is_same)
{
    *ret_is_same = slice_equal(slice_of(held->bytes, held->len), put->bytes);
    if (seq < held->seq) {
        return DHT_STATUS_STALE;
    }
    if (seq == held->seq && !*ret_is_same) {
        s->n_equivocations++;
        return DHT_STATUS_CONFLICT;
    }
    return DHT_STATUS_OK;
}

enum dht_status dht_store_put(struct dht_store *s, const struct dht_put *put, uint64_t *ret_seq)
{
    struct dht_record r;
    bool is_same = false;
    uint64_t expires_us = expiry(put);
    dht_store_sweep(s, put->now_us);
    struct dht_held *held = find(s, &put->facts->pos);
    *ret_seq = held != NULL ? held->seq : 0;
    if (expires_us == 0) {
        return DHT_STATUS_EXPIRED;
    }
    if (dht_store_verify(put->bytes, &s->mesh, &put->facts->pos, &r) != IPX_OK ||
        !node_id_equal(&r.id, &put->facts->id)) {
        return DHT_STATUS_BAD;
    }
    if (held != NULL) {
        enum dht_status status = compare_held(s, put, held, r.seq, &is_same);
        if (status != DHT_STATUS_OK) {
            return status;
        }
        if (is_same) {
            held->expires_us = expires_us;
            return DHT_STATUS_OK;
        }
        drop(s, held);
    }
    enum dht_status status = insert(s, put, r.seq, expires_us);
    *ret_seq = status == DHT_STATUS_OK ? r.seq : 0;
    return status;
}

enum ipx_err dht_store_verify(struct slice bytes, const struct mesh_id *mesh,
                              const struct dht_pos *key, struct dht_record *ret)
{
    struct dht_record r;
    enum ipx_err err = dht_record_decode(bytes, mesh, &r);
    if (err != IPX_OK) {
        return err;
    }
    struct dht_pos pos = dht_pos_of(mesh, r.nonce, &r.id);
    if (!is_same_pos(&pos, key)) {
        return IPX_CONFLICT;
    }
    *ret = r;
    return IPX_OK;
}

void dht_store_check(const struct dht_store *s)
{
    struct dht_held *h;
    struct list *tmp;
    uint32_t n = 0;
    size_t bytes = 0;
    LIST_EACH(h, tmp, &s->records, struct dht_held, link)
    {
        assert(h->len > 0 && h->len <= DHT_RECORD_MAX);
        assert(find(s, &h->key) == h);
        n++;
        bytes += size_of(h);
    }
    assert(n == s->n && bytes == s->bytes && n <= s->n_max && bytes <= s->bytes_max);
}

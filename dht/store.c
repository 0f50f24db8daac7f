/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/store.h"

#include "base/plant.h"

/* All that is held, of which bodies may drop the one they look at. */
#define EACH_HELD(h, tmp, i, s)                                                                    \
    for (uint32_t i = 0; (i) < (s)->n_lists; (i)++)                                                \
    LIST_EACH(h, tmp, &(s)->index[i], struct dht_held, link)

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value > 0 ? value : fallback;
}

void dht_store_init(struct dht_store *s, const struct dht_store_config *config)
{
    *s = (struct dht_store){.config = *config};
    struct dht_store_config *c = &s->config;
    c->n_max = or_default(c->n_max, DHT_STORE_RECORDS_MAX);
    c->publisher_max = or_default(c->publisher_max, DHT_STORE_PUBLISHER_MAX);
    c->key_max = or_default(c->key_max, DHT_STORE_KEY_MAX);
    c->bytes_max = c->bytes_max > 0 ? c->bytes_max : DHT_STORE_BYTES_MAX;
    c->publisher_bytes = c->publisher_bytes > 0 ? c->publisher_bytes : DHT_STORE_PUBLISHER_BYTES;
    c->net_bytes = c->net_bytes > 0 ? c->net_bytes : DHT_STORE_NET_BYTES;
}

static size_t size_of(const struct dht_held *h)
{
    return sizeof(*h) + h->len;
}

static void drop(struct dht_store *s, struct dht_held *h)
{
    size_t size = size_of(h);
    assert(s->n > 0 && s->bytes >= size);
    list_unlink(&h->link);
    s->n--;
    s->bytes -= size;
    dht_store_debit(s, h->owner, size);
    dht_store_debit(s, h->net, size);
    mem_free(s->config.mem, h);
}

void dht_store_done(struct dht_store *s)
{
    struct dht_held *h;
    struct list *tmp;
    if (s->config.mem == NULL) {
        return;
    }
    EACH_HELD(h, tmp, i, s)
    {
        drop(s, h);
    }
    assert(s->n == 0 && s->bytes == 0 && s->n_accounts == 0);
    mem_free(s->config.mem, s->index);
    *s = (struct dht_store){.n = 0};
}

static bool is_same_pos(const struct dht_pos *a, const struct dht_pos *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

size_t dht_store_get_all(const struct dht_store *s, uint64_t now_us, uint8_t kind,
                         const struct dht_pos *key, const struct dht_held **ret, size_t max)
{
    struct dht_held *h;
    struct list *tmp;
    size_t n = 0;
    if (s->index == NULL) {
        return 0;
    }
    LIST_EACH(h, tmp, &s->index[dht_store_list_of(s, key->bytes, 32)], struct dht_held, link)
    {
        if (n < max && h->kind == kind && h->expires_us > now_us && is_same_pos(&h->key, key)) {
            ret[n++] = h;
        }
    }
    return n;
}

const struct dht_held *dht_store_get(const struct dht_store *s, uint64_t now_us, uint8_t kind,
                                     const struct dht_pos *key)
{
    const struct dht_held *h = NULL;
    return dht_store_get_all(s, now_us, kind, key, &h, 1) == 1 ? h : NULL;
}

/* What an item would replace, expired or not; `ret_n_key`: all of its kind under its key. */
static struct dht_held *find(const struct dht_store *s, const struct dht_item *item,
                             uint32_t *ret_n_key)
{
    struct dht_held *h, *found = NULL;
    struct list *tmp;
    *ret_n_key = 0;
    if (s->index == NULL) {
        return NULL;
    }
    LIST_EACH(h, tmp, &s->index[dht_store_list_of(s, item->key.bytes, 32)], struct dht_held, link)
    {
        if (h->kind != item->kind || !is_same_pos(&h->key, &item->key)) {
            continue;
        }
        *ret_n_key += 1;
        if (item->kind != DHT_KIND_PROVIDER || node_id_equal(&h->publisher, &item->publisher)) {
            found = h;
        }
    }
    return found;
}

void dht_store_remove_publisher(struct dht_store *s, const struct node_id *publisher)
{
    struct dht_held *h;
    struct list *tmp;
    EACH_HELD(h, tmp, i, s)
    {
        if (h->kind != DHT_KIND_IMMUTABLE && node_id_equal(&h->publisher, publisher)) {
            drop(s, h);
        }
    }
}

void dht_store_sweep(struct dht_store *s, uint64_t now_us)
{
    struct dht_held *h;
    struct list *tmp;
    s->swept_us = now_us;
    EACH_HELD(h, tmp, i, s)
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
    EACH_HELD(h, tmp, i, s)
    {
        int order = worst == NULL ? 1 : dht_pos_compare(&s->config.self, &h->key, &worst->key);
        if (order > 0 || (order == 0 && h->expires_us < worst->expires_us)) {
            worst = h;
        }
    }
    return worst;
}

/* Room for `size` bytes more; gives up only what is farther from us than `key`. */
static bool make_room(struct dht_store *s, uint64_t now_us, const struct dht_pos *key, size_t size)
{
    const struct dht_store_config *c = &s->config;
    if (s->n >= c->n_max || s->bytes + size > c->bytes_max) {
        dht_store_sweep(s, now_us);
    }
    while (s->n >= c->n_max || s->bytes + size > c->bytes_max) {
        struct dht_held *worst = find_worst(s);
        if (worst == NULL || dht_pos_compare(&c->self, &worst->key, key) <= 0) {
            return false;
        }
        drop(s, worst);
    }
    return true;
}

static uint64_t ttl_us(uint8_t kind)
{
    return kind == DHT_KIND_NODE       ? DHT_RECORD_TTL_US
           : kind == DHT_KIND_MUTABLE  ? DHT_MUTABLE_TTL_US
           : kind == DHT_KIND_PROVIDER ? DHT_PROVIDER_TTL_US
                                       : DHT_IMMUTABLE_TTL_US;
}

/* 0: the certificate is over. */
static uint64_t expiry(const struct dht_put *put)
{
    int64_t until_ms = put->facts->not_after_ms;
    if (until_ms <= put->wall_ms) {
        return 0;
    }
    uint64_t left_ms = (uint64_t)until_ms - (uint64_t)put->wall_ms;
    return put->now_us + IPX_MIN(left_ms, ttl_us(put->kind) / US_PER_MS) * US_PER_MS;
}

static bool is_foreign(const struct dht_store *s, const struct dht_put *put)
{
    return s->config.lab[0] != 0 && put->from != NULL &&
           strcmp(s->config.lab, put->facts->lab) != 0;
}

/* The new one's share, of which the old one's bytes come back. */
static bool is_over_quota(const struct dht_store *s, const struct dht_account *owner,
                          const struct dht_account *net, const struct dht_held *held, size_t size)
{
    size_t n_back = held != NULL && held->owner == owner ? 1 : 0;
    size_t back = n_back > 0 ? size_of(held) : 0;
    size_t net_back = held != NULL && net != NULL && held->net == net ? size_of(held) : 0;
    return owner->n - n_back >= s->config.publisher_max ||
           owner->bytes - back + size > s->config.publisher_bytes ||
           (net != NULL && net->bytes - net_back + size > s->config.net_bytes);
}

static void fill(struct dht_held *h, const struct dht_put *put, const struct dht_item *item)
{
    h->key = item->key;
    h->publisher = item->kind == DHT_KIND_IMMUTABLE ? put->facts->id : item->publisher;
    h->seq = item->seq;
    h->kind = item->kind;
    h->len = (uint16_t)put->bytes.len;
    memcpy(h->bytes, put->bytes.data, put->bytes.len);
}

/* Puts a new one in, in the place of `held` if there is one. */
static enum dht_status insert(struct dht_store *s, const struct dht_put *put,
                              const struct dht_item *item, struct dht_held *held,
                              uint64_t expires_us)
{
    size_t size = sizeof(struct dht_held) + put->bytes.len;
    if (!dht_store_grow(s)) {
        return DHT_STATUS_FULL;
    }
    struct dht_account *owner = dht_store_owner(s, &put->facts->id);
    struct dht_account *net = is_foreign(s, put) ? dht_store_net(s, put->from) : NULL;
    struct dht_held *h = mem_alloc(s->config.mem, size);
    enum dht_status status = h == NULL || owner == NULL ? DHT_STATUS_FULL : DHT_STATUS_OK;
    if (status == DHT_STATUS_OK && is_over_quota(s, owner, net, held, size)) {
        status = DHT_STATUS_QUOTA;
    }
    if (status == DHT_STATUS_OK) {
        fill(h, put, item);
        h->expires_us = expires_us;
        h->owner = owner;
        h->net = net;
        dht_store_credit(owner, size); /* before the old one leaves: the accounts stay */
        if (net != NULL) {
            dht_store_credit(net, size);
        }
        if (held != NULL) {
            drop(s, held);
        }
        if (make_room(s, put->now_us, &item->key, size)) {
            list_push_back(&s->index[dht_store_list_of(s, h->key.bytes, 32)], &h->link);
            s->n++;
            s->bytes += size;
            return DHT_STATUS_OK;
        }
        dht_store_debit(s, owner, size);
        dht_store_debit(s, net, size);
        mem_free(s->config.mem, h);
        return DHT_STATUS_FULL;
    }
    mem_free(s->config.mem, h);
    dht_store_drop_if_empty(s, owner);
    dht_store_drop_if_empty(s, net);
    return status;
}

/* What is held under this key decides: DHT_STATUS_OK lets the new one take its place. */
static enum dht_status compare_held(struct dht_store *s, const struct dht_put *put,
                                    const struct dht_held *held, const struct dht_item *item)
{
    bool is_same = slice_equal(slice_of(held->bytes, held->len), put->bytes);
    if (put->has_cas && put->cas != held->seq && !is_same) {
        return DHT_STATUS_CAS;
    }
    if (item->seq < held->seq && !IPX_PLANT(SEQ)) {
        return DHT_STATUS_STALE;
    }
    if (item->seq == held->seq && !is_same) {
        s->n_equivocations++;
        return DHT_STATUS_CONFLICT;
    }
    return DHT_STATUS_OK;
}

/* May its sender say this, in these bytes? */
static enum dht_status judge(const struct dht_store *s, const struct dht_put *put,
                             struct dht_item *item)
{
    if (put->kind != DHT_KIND_NODE && (put->facts->caps & CERT_CAP_PUBLISH) == 0) {
        return DHT_STATUS_DENIED;
    }
    enum ipx_err err = dht_item_read(put->kind, put->bytes, &s->config.mesh, item);
    if (err != IPX_OK) {
        return err == IPX_LIMIT ? DHT_STATUS_TOO_BIG : DHT_STATUS_BAD;
    }
    bool is_own =
        put->kind == DHT_KIND_IMMUTABLE || node_id_equal(&item->publisher, &put->facts->id);
    bool is_placed = put->kind != DHT_KIND_NODE || is_same_pos(&item->key, &put->facts->pos);
    return is_own && is_placed ? DHT_STATUS_OK : DHT_STATUS_BAD;
}

enum dht_status dht_store_put(struct dht_store *s, const struct dht_put *put, uint64_t *ret_seq)
{
    struct dht_item item;
    uint32_t n_key = 0;
    uint64_t expires_us = expiry(put);
    *ret_seq = 0;
    if (put->now_us >= s->swept_us + DHT_STORE_SWEEP_US) {
        dht_store_sweep(s, put->now_us);
    }
    if (expires_us == 0) {
        return DHT_STATUS_EXPIRED;
    }
    enum dht_status status = judge(s, put, &item);
    if (status != DHT_STATUS_OK) {
        return status;
    }
    struct dht_held *held = find(s, &item, &n_key);
    if (held != NULL && held->expires_us <= put->now_us) {
        drop(s, held);
        held = NULL;
        n_key--;
    }
    if (held != NULL) {
        *ret_seq = held->seq;
        status = compare_held(s, put, held, &item);
        if (status != DHT_STATUS_OK) {
            return status;
        }
        if (slice_equal(slice_of(held->bytes, held->len), put->bytes)) {
            held->expires_us = expires_us;
            return DHT_STATUS_OK;
        }
    } else if (n_key >= s->config.key_max) {
        return DHT_STATUS_QUOTA;
    }
    status = insert(s, put, &item, held, expires_us);
    held = find(s, &item, &n_key);
    *ret_seq = held != NULL ? held->seq : 0;
    return status;
}

enum ipx_err dht_store_verify(uint8_t kind, struct slice bytes, const struct mesh_id *mesh,
                              const struct dht_pos *key, struct dht_item *ret)
{
    struct dht_item item;
    enum ipx_err err = dht_item_read(kind, bytes, mesh, &item);
    if (err != IPX_OK) {
        return err;
    }
    if (!is_same_pos(&item.key, key)) {
        return IPX_CONFLICT;
    }
    *ret = item;
    return IPX_OK;
}

static void check_account(const struct dht_store *s, const struct dht_account *a)
{
    struct dht_held *h;
    struct list *tmp;
    size_t n = 0, bytes = 0;
    EACH_HELD(h, tmp, i, s)
    {
        if (h->owner == a || h->net == a) {
            n++;
            bytes += size_of(h);
        }
    }
    assert(a->n == n && a->bytes == bytes && n > 0);
}

void dht_store_check(const struct dht_store *s)
{
    struct dht_held *h;
    struct dht_account *a;
    struct list *tmp;
    uint32_t n = 0, n_accounts = 0;
    size_t bytes = 0;
    EACH_HELD(h, tmp, i, s)
    {
        assert(h->len > 0 && h->len <= DHT_VALUE_MAX && h->owner != NULL);
        assert(dht_store_list_of(s, h->key.bytes, 32) == i);
        n++;
        bytes += size_of(h);
    }
    for (uint32_t i = 0; i < s->n_lists; i++) {
        LIST_EACH(a, tmp, &s->index[s->n_lists + i], struct dht_account, link)
        {
            check_account(s, a);
            n_accounts++;
        }
    }
    assert(n == s->n && bytes == s->bytes && n_accounts == s->n_accounts);
    assert(n <= s->config.n_max && bytes <= s->config.bytes_max);
}

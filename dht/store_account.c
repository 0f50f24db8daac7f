/* SPDX-License-Identifier: Apache-2.0 */
/* The store's index, and what each publisher and each network has in it. */
#include <sodium.h>

#include "dht/store.h"

static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8, "SipHash");

uint32_t dht_store_list_of(const struct dht_store *s, const void *name, size_t len)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, name, len, s->config.secret);
    return (uint32_t)load_be64(hash) & (s->n_lists - 1);
}

static struct list *account_list(const struct dht_store *s, const uint8_t name[static 33])
{
    return &s->index[s->n_lists + dht_store_list_of(s, name, 33)];
}

static void move_all(struct dht_store *s, struct list *old, uint32_t n_old)
{
    for (uint32_t i = 0; i < n_old; i++) {
        while (!list_is_empty(&old[i])) {
            struct dht_held *h = CONTAINER_OF(old[i].next, struct dht_held, link);
            list_unlink(&h->link);
            list_push_back(&s->index[dht_store_list_of(s, h->key.bytes, 32)], &h->link);
        }
        while (!list_is_empty(&old[n_old + i])) {
            struct dht_account *a = CONTAINER_OF(old[n_old + i].next, struct dht_account, link);
            list_unlink(&a->link);
            list_push_back(account_list(s, a->name), &a->link);
        }
    }
}

bool dht_store_grow(struct dht_store *s)
{
    if (s->index != NULL && s->n < 2 * s->n_lists) {
        return true;
    }
    struct list *old = s->index;
    uint32_t n_old = s->n_lists, n = n_old > 0 ? n_old * 2 : DHT_STORE_BUCKETS_MIN;
    struct list *index = mem_alloc_array(s->config.mem, 2 * (size_t)n, sizeof(*index));
    if (index == NULL) {
        return old != NULL; /* longer lists will do */
    }
    for (size_t i = 0; i < 2 * (size_t)n; i++) {
        list_init(&index[i]);
    }
    s->index = index;
    s->n_lists = n;
    if (old != NULL) {
        move_all(s, old, n_old);
        mem_free(s->config.mem, old);
    }
    return true;
}

static struct dht_account *find_or_make(struct dht_store *s, const uint8_t name[static 33])
{
    struct dht_account *a;
    struct list *tmp, *list = account_list(s, name);
    LIST_EACH(a, tmp, list, struct dht_account, link)
    {
        if (memcmp(a->name, name, sizeof(a->name)) == 0) {
            return a;
        }
    }
    a = mem_alloc(s->config.mem, sizeof(*a));
    if (a != NULL) {
        memcpy(a->name, name, sizeof(a->name));
        list_push_back(list, &a->link);
        s->n_accounts++;
    }
    return a;
}

struct dht_account *dht_store_owner(struct dht_store *s, const struct node_id *publisher)
{
    uint8_t name[33] = {0};
    memcpy(name + 1, publisher->bytes, 32);
    return find_or_make(s, name);
}

struct dht_account *dht_store_net(struct dht_store *s, const struct addr *from)
{
    uint8_t name[33] = {from->family == ADDR_V4 ? 4 : 6};
    memcpy(name + 1, from->ip, from->family == ADDR_V4 ? 3 : 6);
    return find_or_make(s, name);
}

void dht_store_credit(struct dht_account *a, size_t bytes)
{
    a->n++;
    a->bytes += bytes;
}

void dht_store_drop_if_empty(struct dht_store *s, struct dht_account *a)
{
    if (a != NULL && a->n == 0) {
        assert(a->bytes == 0 && s->n_accounts > 0);
        s->n_accounts--;
        list_unlink(&a->link);
        mem_free(s->config.mem, a);
    }
}

void dht_store_debit(struct dht_store *s, struct dht_account *a, size_t bytes)
{
    if (a != NULL) {
        assert(a->n > 0 && a->bytes >= bytes);
        a->n--;
        a->bytes -= bytes;
        dht_store_drop_if_empty(s, a);
    }
}

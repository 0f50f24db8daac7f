/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that put records of ours. */
#include "dht/core.h"

static enum ipx_err put(struct dht *d, uint64_t now_us, const struct dht_put_spec *spec,
                        uint32_t *ret_handle)
{
    dht_enter(d, now_us);
    return dht_puts_start(d, spec, ret_handle);
}

enum ipx_err dht_put_mutable(struct dht *d, uint64_t now_us, const struct dht_mutable_spec *spec,
                             uint32_t *ret_handle)
{
    uint8_t bytes[DHT_VALUE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (spec->salt.len > DHT_SALT_MAX || spec->value.len > DHT_MUTABLE_VALUE_MAX) {
        return IPX_LIMIT;
    }
    struct dht_item item = {.kind = DHT_KIND_MUTABLE,
                            .seq = spec->seq,
                            .chain_hash = spec->chain_hash,
                            .salt = spec->salt,
                            .value = spec->value};
    dht_item_encode(&item, d->config.key, &d->config.mesh, &w);
    struct dht_pos key = dht_mutable_key(&d->config.key->pk, spec->salt);
    struct dht_put_spec p = {.kind = DHT_KIND_MUTABLE,
                             .key = &key,
                             .bytes = writer_slice(&w),
                             .has_cas = spec->has_cas,
                             .cas = spec->cas,
                             .keep = spec->keep};
    return put(d, now_us, &p, ret_handle);
}

enum ipx_err dht_put_immutable(struct dht *d, uint64_t now_us, struct slice value, bool keep,
                               uint32_t *ret_handle)
{
    if (value.len == 0 || value.len > DHT_IMMUTABLE_MAX) {
        return IPX_LIMIT;
    }
    struct dht_pos key = dht_immutable_key(value);
    struct dht_put_spec p = {.kind = DHT_KIND_IMMUTABLE, .key = &key, .bytes = value, .keep = keep};
    return put(d, now_us, &p, ret_handle);
}

enum ipx_err dht_provide(struct dht *d, uint64_t now_us, const struct dht_provide_spec *spec,
                         uint32_t *ret_handle)
{
    uint8_t bytes[DHT_PROVIDER_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct dht_item item = {.kind = DHT_KIND_PROVIDER,
                            .key = spec->key,
                            .seq = spec->seq,
                            .chain_hash = spec->chain_hash,
                            .size = spec->size,
                            .flags = spec->flags};
    dht_item_encode(&item, d->config.key, &d->config.mesh, &w);
    struct dht_put_spec p = {.kind = DHT_KIND_PROVIDER,
                             .key = &spec->key,
                             .bytes = writer_slice(&w),
                             .keep = spec->keep};
    return put(d, now_us, &p, ret_handle);
}

bool dht_withdraw(struct dht *d, uint64_t now_us, uint8_t kind, const struct dht_pos *key)
{
    dht_enter(d, now_us);
    return dht_puts_withdraw(d, kind, key);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making an ad from parts: names and encoded values are collected in a pool as large as an ad may
 * be, then written in order and taken in as if they came from the wire.
 */
#include "base/label_core.h"

struct entry {
    uint16_t name_at, name_len;
    uint16_t value_at, value_len;
};

struct part { /* a resource: its kind and which of the fields are its own */
    uint16_t kind_at, kind_len;
    uint16_t first, n;
};

struct ad_builder {
    struct mem *mem;
    bool is_full;
    size_t n_labels, n_fields, n_parts;
    struct entry labels[LABEL_AD_LABELS_MAX];
    struct entry fields[LABEL_AD_RESOURCES_MAX * LABEL_RES_LABELS_MAX];
    struct part parts[LABEL_AD_RESOURCES_MAX];
    struct writer pool;
    uint8_t bytes[LABEL_AD_BYTES_MAX];
};

struct ad_builder *ad_builder_new(struct mem *mem)
{
    struct ad_builder *b = mem_alloc(mem, sizeof(*b));
    if (b != NULL) {
        b->mem = mem;
        b->is_full = true;
        b->pool = writer_of(b->bytes, sizeof(b->bytes));
    }
    return b;
}

void ad_builder_free(struct ad_builder *b)
{
    if (b != NULL) {
        mem_free(b->mem, b);
    }
}

void ad_builder_partial(struct ad_builder *b)
{
    b->is_full = false;
}

static struct slice pool_at(const struct ad_builder *b, uint16_t at, uint16_t len)
{
    return slice_of(b->bytes + at, len);
}

/* Encodes a value behind the pool; a set is sorted first. */
static enum ipx_err put_value(struct ad_builder *b, const struct label_value *value)
{
    struct label_value v = *value;
    struct slice strings[LABEL_SET_MAX];
    if (v.type == LABEL_SET) {
        if (v.n_set > LABEL_SET_MAX) {
            return IPX_LIMIT;
        }
        if (v.n_set > 0) {
            memcpy(strings, v.set, v.n_set * sizeof(*strings));
        }
        v.n_set = (uint16_t)label_set_sort(strings, v.n_set);
        v.set = strings;
    }
    if (!label_value_is_valid(&v)) {
        return v.type == LABEL_STRING && v.text.len > LABEL_STRING_MAX ? IPX_LIMIT : IPX_MALFORMED;
    }
    label_value_encode(&v, &b->pool);
    return b->pool.failed ? IPX_LIMIT : IPX_OK;
}

/* Adds to `entries`, of which there are n, unless the name is there. */
static enum ipx_err add(struct ad_builder *b, struct entry *entries, size_t n, struct slice name,
                        const struct label_value *value)
{
    if (!label_name_is_valid(name)) {
        return IPX_MALFORMED;
    }
    for (size_t i = 0; i < n; i++) {
        if (slice_equal(pool_at(b, entries[i].name_at, entries[i].name_len), name)) {
            return IPX_EXISTS;
        }
    }
    struct writer before = b->pool;
    struct entry e = {.name_at = (uint16_t)b->pool.len, .name_len = (uint16_t)name.len};
    writer_bytes(&b->pool, name);
    e.value_at = (uint16_t)b->pool.len;
    enum ipx_err err = put_value(b, value);
    if (err != IPX_OK) {
        b->pool = before;
        return err;
    }
    e.value_len = (uint16_t)(b->pool.len - e.value_at);
    entries[n] = e;
    return IPX_OK;
}

enum ipx_err ad_builder_label(struct ad_builder *b, struct slice name,
                              const struct label_value *value)
{
    if (b->n_labels == LABEL_AD_LABELS_MAX) {
        return IPX_LIMIT;
    }
    enum ipx_err err = add(b, b->labels, b->n_labels, name, value);
    b->n_labels += err == IPX_OK ? 1 : 0;
    return err;
}

enum ipx_err ad_builder_resource(struct ad_builder *b, struct slice kind)
{
    if (!label_kind_is_valid(kind)) {
        return IPX_MALFORMED;
    }
    if (b->n_parts == LABEL_AD_RESOURCES_MAX || kind.len > b->pool.cap - b->pool.len) {
        return IPX_LIMIT;
    }
    struct part p = {.kind_at = (uint16_t)b->pool.len, .kind_len = (uint16_t)kind.len};
    p.first = (uint16_t)b->n_fields;
    writer_bytes(&b->pool, kind);
    b->parts[b->n_parts++] = p;
    return IPX_OK;
}

enum ipx_err ad_builder_field(struct ad_builder *b, struct slice name,
                              const struct label_value *value)
{
    assert(b->n_parts > 0);
    struct part *p = &b->parts[b->n_parts - 1];
    if (p->n == LABEL_RES_LABELS_MAX) {
        return IPX_LIMIT;
    }
    enum ipx_err err = add(b, b->fields + p->first, p->n, name, value);
    if (err == IPX_OK) {
        p->n++;
        b->n_fields++;
    }
    return err;
}

static void sort_entries(const struct ad_builder *b, struct entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct entry e = entries[i];
        struct slice name = pool_at(b, e.name_at, e.name_len);
        size_t at = i;
        for (; at > 0; at--) {
            const struct entry *left = &entries[at - 1];
            if (slice_compare(pool_at(b, left->name_at, left->name_len), name) < 0) {
                break;
            }
            entries[at] = *left;
        }
        entries[at] = e;
    }
}

static void write_entries(struct ad_builder *b, struct entry *entries, size_t n, struct writer *w)
{
    sort_entries(b, entries, n);
    for (size_t i = 0; i < n; i++) {
        cbor_put_text(w, pool_at(b, entries[i].name_at, entries[i].name_len));
        cbor_put_raw(w, pool_at(b, entries[i].value_at, entries[i].value_len));
    }
}

enum ipx_err ad_builder_finish(struct ad_builder *b, struct ad **ret_ad)
{
    uint8_t bytes[LABEL_AD_BYTES_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    cbor_put_array(&w, 3);
    cbor_put_bool(&w, b->is_full);
    cbor_put_array(&w, 2 * b->n_labels);
    write_entries(b, b->labels, b->n_labels, &w);
    cbor_put_array(&w, b->n_parts);
    for (size_t i = 0; i < b->n_parts; i++) {
        const struct part *p = &b->parts[i];
        cbor_put_array(&w, 1 + 2 * (uint64_t)p->n);
        cbor_put_text(&w, pool_at(b, p->kind_at, p->kind_len));
        write_entries(b, b->fields + p->first, p->n, &w);
    }
    if (w.failed) {
        return IPX_LIMIT;
    }
    return ad_from_bytes(writer_slice(&w), true, b->mem, ret_ad);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ads as bytes (docs/wire/labels.md). An ad is one block of memory which ends with its encoded
 * form; all its slices point there. The bytes are walked twice by the same code: once to check and
 * to count, once to fill the block.
 */
#include "base/label_core.h"

#define NUMBER_AS_INT_MAX INT64_C(9007199254740992) /* 2^53: every integer up to it is exact */

struct walk {
    struct cbor_reader r;
    bool is_bad; /* well-formed, but not an ad */
    bool is_evaluator_ok;
    bool is_full;
    size_t n_labels, n_all, n_resources, n_strings;
    /* where the second walk stores; NULL in the first */
    struct label *all; /* the node's labels, then those of each resource */
    uint16_t *marks;
    struct resource *resources;
    struct slice *strings;
};

/* --- values --- */

static bool is_int(double x)
{
    const double max = (double)NUMBER_AS_INT_MAX;
    return x >= -max && x <= max && (double)(int64_t)x == x;
}

static void encode_plain(double x, struct writer *w)
{
    if (is_int(x)) {
        cbor_put_i64(w, (int64_t)x);
    } else {
        cbor_put_double(w, x);
    }
}

static void encode_number(const struct label_value *v, struct writer *w)
{
    if (v->dim.bytes == 0 && v->dim.seconds == 0) {
        encode_plain(v->number, w);
        return;
    }
    cbor_put_array(w, 3);
    encode_plain(v->number, w);
    cbor_put_i64(w, v->dim.bytes);
    cbor_put_i64(w, v->dim.seconds);
}

static void encode_version(const struct label_value *v, struct writer *w)
{
    cbor_put_array(w, v->text.len > 0 ? 2 : 1);
    cbor_put_array(w, v->version_parts);
    for (size_t i = 0; i < v->version_parts; i++) {
        cbor_put_u64(w, v->version[i]);
    }
    if (v->text.len > 0) {
        cbor_put_text(w, v->text);
    }
}

void label_value_encode(const struct label_value *v, struct writer *w)
{
    switch ((enum label_type)v->type) {
    case LABEL_BOOL:
        cbor_put_bool(w, v->boolean);
        break;
    case LABEL_NUMBER:
        encode_number(v, w);
        break;
    case LABEL_STRING:
        cbor_put_text(w, v->text);
        break;
    case LABEL_VERSION:
        encode_version(v, w);
        break;
    case LABEL_SET:
        cbor_put_array(w, v->n_set);
        for (size_t i = 0; i < v->n_set; i++) {
            cbor_put_text(w, v->set[i]);
        }
        break;
    }
}

static double decode_plain(struct walk *k)
{
    if (cbor_peek(&k->r) != CBOR_DOUBLE) {
        int64_t whole = cbor_i64(&k->r);
        k->is_bad = k->is_bad || whole > NUMBER_AS_INT_MAX || whole < -NUMBER_AS_INT_MAX;
        return (double)whole;
    }
    double x = cbor_double(&k->r);
    k->is_bad = k->is_bad || !label_number_is_valid(x) || is_int(x);
    return x;
}

static void decode_dimension(struct walk *k, uint64_t n, struct label_value *v)
{
    v->type = LABEL_NUMBER;
    v->number = decode_plain(k);
    int64_t bytes = cbor_i64(&k->r), seconds = cbor_i64(&k->r);
    if (n != 3 || bytes < 0 || bytes > 1 || seconds < -1 || seconds > 1) {
        k->is_bad = true;
        return;
    }
    v->dim = (struct label_dim){(int8_t)bytes, (int8_t)seconds};
    k->is_bad = k->is_bad || !label_dim_has_unit(v->dim) || (bytes == 0 && seconds == 0);
}

static void decode_version(struct walk *k, uint64_t n, struct label_value *v)
{
    v->type = LABEL_VERSION;
    uint64_t n_parts = cbor_array_begin(&k->r, LABEL_VERSION_PARTS);
    for (size_t i = 0; i < n_parts; i++) {
        v->version[i] = (uint32_t)cbor_uint_max(&k->r, UINT32_MAX);
    }
    cbor_array_end(&k->r);
    v->version_parts = (uint8_t)n_parts;
    if (n == 2) {
        v->text = cbor_text(&k->r, LABEL_TAG_MAX);
        k->is_bad = k->is_bad || !label_tag_is_valid(v->text);
    }
    k->is_bad = k->is_bad || n > 2 || n_parts == 0;
}

static void decode_set(struct walk *k, uint64_t n, struct label_value *v)
{
    v->type = LABEL_SET;
    v->n_set = (uint16_t)n;
    v->set = k->strings != NULL ? k->strings + k->n_strings : NULL;
    struct slice last = SLICE_EMPTY;
    for (size_t i = 0; i < n && !k->r.failed; i++) {
        struct slice s = cbor_text(&k->r, LABEL_STRING_MAX);
        k->is_bad = k->is_bad || !label_text_is_valid(s) || (i > 0 && slice_compare(last, s) >= 0);
        if (k->strings != NULL) {
            k->strings[k->n_strings] = s;
        }
        k->n_strings++;
        last = s;
    }
}

static void decode_compound(struct walk *k, struct label_value *v)
{
    uint64_t n = cbor_array_begin(&k->r, LABEL_SET_MAX);
    enum cbor_type first = n == 0 ? CBOR_TEXT : cbor_peek(&k->r);
    if (first == CBOR_TEXT) {
        decode_set(k, n, v);
    } else if (first == CBOR_ARRAY) {
        decode_version(k, n, v);
    } else {
        decode_dimension(k, n, v);
    }
    cbor_array_end(&k->r);
}

static void decode_value(struct walk *k, struct label_value *v)
{
    *v = (struct label_value){.type = LABEL_NUMBER};
    enum cbor_type type = cbor_peek(&k->r);
    if (type == CBOR_BOOL) {
        v->type = LABEL_BOOL;
        v->boolean = cbor_bool(&k->r);
    } else if (type == CBOR_TEXT) {
        v->type = LABEL_STRING;
        v->text = cbor_text(&k->r, LABEL_STRING_MAX);
        k->is_bad = k->is_bad || !label_text_is_valid(v->text);
    } else if (type == CBOR_ARRAY) {
        decode_compound(k, v);
    } else {
        v->number = decode_plain(k);
    }
}

/* --- ads --- */

/* Reads n_items / 2 labels; names ascending, so that none comes twice. */
static size_t walk_labels(struct walk *k, uint64_t n_items, bool is_any_name_ok)
{
    struct slice last = SLICE_EMPTY;
    size_t n = (size_t)(n_items / 2);
    k->is_bad = k->is_bad || n_items % 2 != 0;
    for (size_t i = 0; i < n && !k->r.failed && !k->is_bad; i++) {
        struct label label = {.name = cbor_text(&k->r, LABEL_NAME_MAX)};
        decode_value(k, &label.value);
        k->is_bad = k->is_bad || !label_name_is_valid(label.name) ||
                    (!is_any_name_ok && label_name_is_evaluator(label.name)) ||
                    (i > 0 && slice_compare(last, label.name) >= 0);
        if (k->all != NULL) {
            k->all[k->n_all] = label;
            k->marks[k->n_all] = label_mark(label.name);
        }
        k->n_all++;
        last = label.name;
    }
    return n;
}

static void walk_node(struct walk *k)
{
    uint64_t n_items = cbor_array_begin(&k->r, 2 * LABEL_AD_LABELS_MAX);
    k->n_labels = walk_labels(k, n_items, k->is_evaluator_ok);
    cbor_array_end(&k->r);
}

static void walk_resource(struct walk *k)
{
    uint64_t n_items = cbor_array_begin(&k->r, 1 + 2 * LABEL_RES_LABELS_MAX);
    struct resource res = {.kind = cbor_text(&k->r, LABEL_NAME_MAX)};
    size_t first = k->n_all;
    k->is_bad = k->is_bad || n_items == 0 || !label_kind_is_valid(res.kind);
    res.n_labels = (uint16_t)walk_labels(k, n_items == 0 ? 0 : n_items - 1, true);
    cbor_array_end(&k->r);
    if (k->resources != NULL) {
        res.labels = k->all + first;
        res.marks = k->marks + first;
        k->resources[k->n_resources] = res;
    }
    k->n_resources++;
}

static bool walk_ad(struct walk *k, struct slice in)
{
    k->r = cbor_reader_of(in);
    k->n_all = k->n_resources = k->n_strings = 0;
    k->is_bad = cbor_array_begin(&k->r, 3) != 3;
    k->is_full = cbor_bool(&k->r);
    walk_node(k);
    uint64_t n = cbor_array_begin(&k->r, LABEL_AD_RESOURCES_MAX);
    for (uint64_t i = 0; i < n && !k->r.failed && !k->is_bad; i++) {
        walk_resource(k);
    }
    if (k->is_bad) {
        return false;
    }
    cbor_array_end(&k->r);
    cbor_array_end(&k->r);
    return cbor_done(&k->r);
}

/* The parts of the block behind the struct, in the order of their alignment. */
static struct ad *ad_alloc(struct walk *k, struct slice in, struct mem *mem)
{
    size_t size = sizeof(struct ad) + k->n_all * sizeof(struct label) +
                  k->n_resources * sizeof(struct resource) + k->n_strings * sizeof(struct slice) +
                  k->n_all * sizeof(uint16_t) + in.len;
    struct ad *a = mem_alloc(mem, size);
    if (a == NULL) {
        return NULL;
    }
    k->all = (struct label *)(a + 1);
    k->resources = (struct resource *)(k->all + k->n_all);
    k->strings = (struct slice *)(k->resources + k->n_resources);
    k->marks = (uint16_t *)(k->strings + k->n_strings);
    uint8_t *bytes = (uint8_t *)(k->marks + k->n_all);
    memcpy(bytes, in.data, in.len);
    a->mem = mem;
    a->n_refs = 1;
    a->is_full = k->is_full;
    a->n_labels = (uint16_t)k->n_labels;
    a->n_resources = (uint16_t)k->n_resources;
    a->labels = k->all;
    a->resources = k->resources;
    a->marks = k->marks;
    a->encoded = slice_of(bytes, in.len);
    return a;
}

enum ipx_err ad_from_bytes(struct slice in, bool is_evaluator_ok, struct mem *mem,
                           struct ad **ret_ad)
{
    if (in.len > LABEL_AD_BYTES_MAX) {
        return IPX_LIMIT;
    }
    struct walk k = {.is_evaluator_ok = is_evaluator_ok};
    if (!walk_ad(&k, in)) {
        return IPX_MALFORMED;
    }
    struct ad *a = ad_alloc(&k, in, mem);
    if (a == NULL) {
        return IPX_NO_MEMORY;
    }
    bool is_same = walk_ad(&k, a->encoded);
    assert(is_same && k.n_labels == a->n_labels && k.n_resources == a->n_resources);
    *ret_ad = a;
    return IPX_OK;
}

enum ipx_err ad_decode(struct slice in, struct mem *mem, struct ad **ret_ad)
{
    return ad_from_bytes(in, false, mem, ret_ad);
}

void ad_encode(const struct ad *a, struct writer *w)
{
    writer_bytes(w, a->encoded);
}

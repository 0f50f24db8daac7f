/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor_core.h"

struct cbor_reader cbor_reader_of(struct slice in)
{
    struct cbor_reader r;
    r.in = in;
    r.pos = 0;
    r.failed = false;
    r.depth = 0;
    return r; /* levels are written when they are entered */
}

/* Is the current place one where an item may stand? */
static bool has_slot(const struct cbor_reader *r)
{
    if (r->failed || r->depth == 0) {
        return !r->failed;
    }
    const struct cbor_level *level = &r->levels[r->depth - 1];
    return level->is_map ? level->wants_value : level->left > 0;
}

static bool take_slot(struct cbor_reader *r)
{
    if (!has_slot(r)) {
        r->failed = true;
        return false;
    }
    if (r->depth > 0) {
        struct cbor_level *level = &r->levels[r->depth - 1];
        if (level->is_map) {
            level->wants_value = false;
        } else {
            level->left--;
        }
    }
    return true;
}

static bool item_read(struct cbor_reader *r, enum cbor_type type, struct cbor_token *t)
{
    if (!take_slot(r) || !cbor_token_read(r, t)) {
        return false;
    }
    if (t->type != type) {
        r->failed = true;
        return false;
    }
    return true;
}

enum cbor_type cbor_peek(struct cbor_reader *r)
{
    if (!has_slot(r) || r->pos >= r->in.len) {
        return CBOR_END;
    }
    enum cbor_type type = cbor_head_type(r->in.data[r->pos]);
    if (type == CBOR_END) {
        r->failed = true;
    }
    return type;
}

uint64_t cbor_u64(struct cbor_reader *r)
{
    struct cbor_token t;
    return item_read(r, CBOR_UINT, &t) ? t.value : 0;
}

uint64_t cbor_uint_max(struct cbor_reader *r, uint64_t max)
{
    uint64_t v = cbor_u64(r);
    if (v > max) {
        r->failed = true;
        return 0;
    }
    return v;
}

int64_t cbor_i64(struct cbor_reader *r)
{
    struct cbor_token t;
    bool is_negative = cbor_peek(r) == CBOR_NINT;
    if (!item_read(r, is_negative ? CBOR_NINT : CBOR_UINT, &t)) {
        return 0;
    }
    if (t.value > INT64_MAX) {
        r->failed = true;
        return 0;
    }
    return is_negative ? -1 - (int64_t)t.value : (int64_t)t.value;
}

bool cbor_bool(struct cbor_reader *r)
{
    struct cbor_token t;
    return item_read(r, CBOR_BOOL, &t) && t.boolean;
}

double cbor_double(struct cbor_reader *r)
{
    struct cbor_token t;
    return item_read(r, CBOR_DOUBLE, &t) ? t.number : 0;
}

void cbor_null(struct cbor_reader *r)
{
    struct cbor_token t;
    (void)item_read(r, CBOR_NULL, &t);
}

static struct slice string_read(struct cbor_reader *r, enum cbor_type type, size_t max)
{
    struct cbor_token t;
    if (!item_read(r, type, &t)) {
        return SLICE_EMPTY;
    }
    if (t.value > max) {
        r->failed = true;
        return SLICE_EMPTY;
    }
    return slice_of(t.data, (size_t)t.value);
}

struct slice cbor_bytes(struct cbor_reader *r, size_t max)
{
    return string_read(r, CBOR_BYTES, max);
}

struct slice cbor_text(struct cbor_reader *r, size_t max)
{
    return string_read(r, CBOR_TEXT, max);
}

void cbor_bytes_fixed(struct cbor_reader *r, void *out, size_t len)
{
    struct slice s = cbor_bytes(r, len);
    if (r->failed || s.len != len) {
        r->failed = true;
        memset(out, 0, len);
        return;
    }
    memcpy(out, s.data, len);
}

void cbor_text_copy(struct cbor_reader *r, char *out, size_t out_size)
{
    assert(out_size > 0);
    if (!slice_to_text(cbor_text(r, out_size - 1), out, out_size)) {
        r->failed = true;
    }
}

static bool level_enter(struct cbor_reader *r, const struct cbor_token *t)
{
    if (r->depth == CBOR_DEPTH_MAX) {
        r->failed = true;
        return false;
    }
    r->levels[r->depth++] = (struct cbor_level){.left = t->value, .is_map = t->type == CBOR_MAP};
    return true;
}

uint64_t cbor_array_begin(struct cbor_reader *r, uint64_t max)
{
    struct cbor_token t;
    if (!item_read(r, CBOR_ARRAY, &t)) {
        return 0;
    }
    if (t.value > max) {
        r->failed = true;
        return 0;
    }
    return level_enter(r, &t) ? t.value : 0;
}

void cbor_array_end(struct cbor_reader *r)
{
    if (r->failed) {
        return;
    }
    assert(r->depth > 0 && !r->levels[r->depth - 1].is_map);
    if (r->levels[r->depth - 1].left > 0) {
        r->failed = true;
        return;
    }
    r->depth--;
}

void cbor_map_begin(struct cbor_reader *r)
{
    struct cbor_token t;
    if (item_read(r, CBOR_MAP, &t)) {
        (void)level_enter(r, &t);
    }
}

bool cbor_map_next(struct cbor_reader *r, uint64_t *ret_key)
{
    struct cbor_token t;
    if (r->failed) {
        return false;
    }
    assert(r->depth > 0 && r->levels[r->depth - 1].is_map);
    struct cbor_level *level = &r->levels[r->depth - 1];
    if (level->wants_value) {
        r->failed = true; /* the reader passed over a value without reading it */
        return false;
    }
    if (level->left == 0) {
        r->depth--;
        return false;
    }
    if (!cbor_token_read(r, &t)) {
        return false;
    }
    if (t.type != CBOR_UINT || (level->has_key && t.value <= level->last_key)) {
        r->failed = true;
        return false;
    }
    level->left--;
    level->last_key = t.value;
    level->has_key = true;
    level->wants_value = true;
    *ret_key = t.value;
    return true;
}

void cbor_skip_unknown(struct cbor_reader *r, uint64_t key)
{
    if (key % 2 == 0) {
        r->failed = true;
        return;
    }
    cbor_skip(r);
}

/* A container being walked over by cbor_skip. */
struct skip_level {
    uint64_t left;
    struct slice last_key; /* encoded; empty before the first */
    bool is_map;
    bool wants_value;
};

static bool skip_key_is_allowed(const struct skip_level *level, enum cbor_type type,
                                struct slice key)
{
    bool is_scalar =
        type == CBOR_UINT || type == CBOR_NINT || type == CBOR_BYTES || type == CBOR_TEXT;
    return is_scalar && (level->last_key.len == 0 || slice_compare(level->last_key, key) < 0);
}

/* Reads one token below `level` (NULL at the top); true if it was the key of a pair. */
static bool skip_token(struct cbor_reader *r, struct skip_level *level, struct cbor_token *t)
{
    size_t start = r->pos;
    if (!cbor_token_read(r, t) || level == NULL) {
        return false;
    }
    if (level->is_map && !level->wants_value) {
        struct slice key = slice_of(r->in.data + start, r->pos - start);
        r->failed = !skip_key_is_allowed(level, t->type, key);
        level->last_key = key;
        level->wants_value = true;
        level->left--;
        return true;
    }
    if (level->is_map) {
        level->wants_value = false;
    } else {
        level->left--;
    }
    return false;
}

void cbor_skip(struct cbor_reader *r)
{
    struct skip_level levels[CBOR_DEPTH_MAX];
    size_t n = 0;
    if (!take_slot(r)) {
        return;
    }
    do {
        struct cbor_token t;
        bool is_key = skip_token(r, n > 0 ? &levels[n - 1] : NULL, &t);
        if (r->failed || is_key) {
            continue;
        }
        if (t.type == CBOR_ARRAY || t.type == CBOR_MAP) {
            if (r->depth + n == CBOR_DEPTH_MAX) {
                r->failed = true;
                return;
            }
            levels[n++] = (struct skip_level){.left = t.value, .is_map = t.type == CBOR_MAP};
        }
        while (n > 0 && levels[n - 1].left == 0 && !levels[n - 1].wants_value) {
            n--;
        }
    } while (n > 0 && !r->failed);
}

struct slice cbor_raw(struct cbor_reader *r)
{
    size_t start = r->pos;
    cbor_skip(r);
    return r->failed ? SLICE_EMPTY : slice_of(r->in.data + start, r->pos - start);
}

bool cbor_done(const struct cbor_reader *r)
{
    return !r->failed && r->depth == 0 && r->pos == r->in.len;
}

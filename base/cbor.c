/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor.h"

#include <math.h>

/* libcbor has an enum of the same name. */
#define cbor_type libcbor_type
#include <cbor/streaming.h>
#undef cbor_type

/* One head as libcbor saw it: the start of an array or map, or a whole scalar. */
struct token {
    enum cbor_type type; /* CBOR_END: libcbor called nothing that we allow */
    bool boolean;
    uint64_t value; /* integer; length of bytes, text and arrays; pairs of a map */
    const uint8_t *data;
    double number;
};

static void on_uint8(void *user, uint8_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_UINT, .value = v};
}
static void on_uint16(void *user, uint16_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_UINT, .value = v};
}
static void on_uint32(void *user, uint32_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_UINT, .value = v};
}
static void on_uint64(void *user, uint64_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_UINT, .value = v};
}
static void on_nint8(void *user, uint8_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_NINT, .value = v};
}
static void on_nint16(void *user, uint16_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_NINT, .value = v};
}
static void on_nint32(void *user, uint32_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_NINT, .value = v};
}
static void on_nint64(void *user, uint64_t v)
{
    *(struct token *)user = (struct token){.type = CBOR_NINT, .value = v};
}
static void on_bytes(void *user, cbor_data data, size_t len)
{
    *(struct token *)user = (struct token){.type = CBOR_BYTES, .value = len, .data = data};
}
static void on_text(void *user, cbor_data data, size_t len)
{
    *(struct token *)user = (struct token){.type = CBOR_TEXT, .value = len, .data = data};
}
static void on_array(void *user, size_t n)
{
    *(struct token *)user = (struct token){.type = CBOR_ARRAY, .value = n};
}
static void on_map(void *user, size_t n)
{
    *(struct token *)user = (struct token){.type = CBOR_MAP, .value = n};
}
static void on_double(void *user, double v)
{
    *(struct token *)user = (struct token){.type = CBOR_DOUBLE, .number = v};
}
static void on_bool(void *user, bool v)
{
    *(struct token *)user = (struct token){.type = CBOR_BOOL, .boolean = v};
}
static void on_null(void *user)
{
    *(struct token *)user = (struct token){.type = CBOR_NULL};
}

/* What the profile has no place for leaves the token at CBOR_END. */
static void on_refused(void *user)
{
    (void)user;
}
static void on_refused_tag(void *user, uint64_t v)
{
    (void)user;
    (void)v;
}
static void on_refused_float(void *user, float v)
{
    (void)user;
    (void)v;
}

static const struct cbor_callbacks token_callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint64 = on_nint64,
    .negint32 = on_nint32,
    .negint16 = on_nint16,
    .negint8 = on_nint8,
    .byte_string_start = on_refused,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_refused,
    .indef_array_start = on_refused,
    .array_start = on_array,
    .indef_map_start = on_refused,
    .map_start = on_map,
    .tag = on_refused_tag,
    .float2 = on_refused_float,
    .float4 = on_refused_float,
    .float8 = on_double,
    .undefined = on_refused,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_refused,
};

/* The type that a first byte announces; CBOR_END for indefinite lengths, tags and the rest of what
 * is refused, so that libcbor sees only what the profile has. */
static enum cbor_type head_type(uint8_t first)
{
    static const enum cbor_type majors[] = {CBOR_UINT, CBOR_NINT,  CBOR_BYTES,
                                            CBOR_TEXT, CBOR_ARRAY, CBOR_MAP};
    unsigned major = first >> 5;
    if (major < ARRAY_LEN(majors)) {
        return (first & 0x1f) <= 27 ? majors[major] : CBOR_END;
    }
    switch (first) {
    case 0xf4:
    case 0xf5:
        return CBOR_BOOL;
    case 0xf6:
        return CBOR_NULL;
    case 0xfb:
        return CBOR_DOUBLE;
    default:
        return CBOR_END;
    }
}

/* RFC 8949 section 4.2.1: the argument of a head is as short as it can be. */
static bool head_is_shortest(uint8_t first, uint64_t value)
{
    switch (first & 0x1f) {
    case 24:
        return value >= 24;
    case 25:
        return value > UINT8_MAX;
    case 26:
        return value > UINT16_MAX;
    case 27:
        return value > UINT32_MAX;
    default:
        return true;
    }
}

/* What libcbor does not check. `left` = bytes behind the head: an item has at least one each. */
static bool token_is_allowed(const struct token *t, uint8_t first, size_t left)
{
    switch (t->type) {
    case CBOR_UINT:
    case CBOR_NINT:
    case CBOR_BYTES:
        return head_is_shortest(first, t->value);
    case CBOR_TEXT:
        return head_is_shortest(first, t->value) &&
               slice_is_utf8(slice_of(t->data, (size_t)t->value));
    case CBOR_ARRAY:
        return head_is_shortest(first, t->value) && t->value <= left;
    case CBOR_MAP:
        return head_is_shortest(first, t->value) && t->value <= left / 2;
    case CBOR_DOUBLE:
        return isfinite(t->number) && !(t->number == 0 && signbit(t->number));
    case CBOR_BOOL:
    case CBOR_NULL:
        return true;
    case CBOR_END:
    default:
        return false;
    }
}

static bool token_read(struct cbor_reader *r, struct token *t)
{
    t->type = CBOR_END;
    if (r->failed || r->pos >= r->in.len) {
        r->failed = true;
        return false;
    }
    const uint8_t *p = r->in.data + r->pos;
    size_t left = r->in.len - r->pos;
    enum cbor_type type = head_type(p[0]);
    if (type != CBOR_END) {
        struct cbor_decoder_result result = cbor_stream_decode(p, left, &token_callbacks, t);
        if (result.status == CBOR_DECODER_FINISHED && result.read <= left && t->type == type &&
            token_is_allowed(t, p[0], left - result.read)) {
            r->pos += result.read;
            return true;
        }
    }
    r->failed = true;
    return false;
}

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

static bool item_read(struct cbor_reader *r, enum cbor_type type, struct token *t)
{
    if (!take_slot(r) || !token_read(r, t)) {
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
    enum cbor_type type = head_type(r->in.data[r->pos]);
    if (type == CBOR_END) {
        r->failed = true;
    }
    return type;
}

uint64_t cbor_u64(struct cbor_reader *r)
{
    struct token t;
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
    struct token t;
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
    struct token t;
    return item_read(r, CBOR_BOOL, &t) && t.boolean;
}

double cbor_double(struct cbor_reader *r)
{
    struct token t;
    return item_read(r, CBOR_DOUBLE, &t) ? t.number : 0;
}

void cbor_null(struct cbor_reader *r)
{
    struct token t;
    (void)item_read(r, CBOR_NULL, &t);
}

static struct slice string_read(struct cbor_reader *r, enum cbor_type type, size_t max)
{
    struct token t;
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

static bool level_enter(struct cbor_reader *r, const struct token *t)
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
    struct token t;
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
    struct token t;
    if (item_read(r, CBOR_MAP, &t)) {
        (void)level_enter(r, &t);
    }
}

bool cbor_map_next(struct cbor_reader *r, uint64_t *ret_key)
{
    struct token t;
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
    if (!token_read(r, &t)) {
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
static bool skip_token(struct cbor_reader *r, struct skip_level *level, struct token *t)
{
    size_t start = r->pos;
    if (!token_read(r, t) || level == NULL) {
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
        struct token t;
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

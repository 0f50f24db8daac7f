/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/job.h"

#include <stdio.h>

#include "exec/wire_fields.h"

bool job_id_equal(const struct exec_job_id *a, const struct exec_job_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void job_id_text(const struct exec_job_id *id, char out[static EXEC_JOB_TEXT_SIZE])
{
    size_t len = base32_encode(slice_of(id->bytes, sizeof(id->bytes)), out, EXEC_JOB_TEXT_SIZE);
    assert(len == EXEC_JOB_TEXT_SIZE - 1);
    (void)len;
}

/* --- lists --- */

struct exec_list exec_list_read(struct cbor_reader *r, uint32_t n_max, uint32_t bytes_max)
{
    struct exec_list l = {SLICE_EMPTY, 0, 0};
    size_t start = r->pos;
    uint64_t n = cbor_array_begin(r, n_max);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        l.bytes += (uint32_t)cbor_bytes(r, bytes_max - l.bytes).len;
    }
    cbor_array_end(r);
    if (r->failed) {
        return (struct exec_list){SLICE_EMPTY, 0, 0};
    }
    l.n = (uint32_t)n;
    l.raw = slice_of(r->in.data + start, r->pos - start);
    return l;
}

struct cbor_reader exec_list_begin(const struct exec_list *l)
{
    static const uint8_t empty = 0x80;
    struct cbor_reader r = cbor_reader_of(l->raw.len > 0 ? l->raw : slice_of(&empty, 1));
    cbor_array_begin(&r, UINT32_MAX);
    return r;
}

struct slice exec_list_next(struct cbor_reader *it)
{
    struct slice s = cbor_bytes(it, SIZE_MAX);
    assert(!it->failed); /* checked by exec_list_read */
    return s;
}

void exec_list_write(struct writer *w, const struct exec_list *l)
{
    if (l->raw.len == 0) {
        cbor_put_array(w, 0);
    } else {
        cbor_put_raw(w, l->raw);
    }
}

/* --- the spec, inside JOB --- */

static const struct field spec_list[] = {
    FIELD(exec_spec, 1, U32, mode, .min = 1, .max = EXEC_MODE_MAP, .is_needed = true),
    FIELD(exec_spec, 2, U32, output, .min = 1, .max = EXEC_OUTPUT_CAPTURE, .is_needed = true),
    INT(exec_spec, 4, U32, stdin_kind, EXEC_STDIN_SOURCE),
    FLAG(exec_spec, 5, is_pure),
    FIELD(exec_spec, 6, U32, count, .min = 1, .max = EXEC_TASKS_MAX, .is_needed = true),
    NEEDS(exec_spec, 8),
    FIELD(exec_spec, 12, LIST, argv, .max = EXEC_ARGV_MAX, .bytes_max = EXEC_ARGV_BYTES_MAX,
          .is_needed = true),
    FIELD(exec_spec, 14, LIST, env, .max = EXEC_ENV_MAX, .bytes_max = EXEC_ENV_BYTES_MAX),
    INT(exec_spec, 16, TEXT, where, EXEC_WHERE_MAX),
    INT(exec_spec, 18, TEXT, stream, EXEC_NAME_MAX),
    INT(exec_spec, 20, FIXED, stream_node.bytes, 32),
};
FIELDS(spec);

void exec_spec_encode(const struct exec_spec *s, struct writer *w)
{
    fields_encode(&spec, s, w);
}

/* Words go to execve: a NUL inside would cut them. */
static bool list_has_nul(const struct exec_list *l)
{
    struct cbor_reader it = exec_list_begin(l);
    for (uint32_t i = 0; i < l->n; i++) {
        struct slice s = exec_list_next(&it);
        if (s.len > 0 && memchr(s.data, 0, s.len) != NULL) {
            return true;
        }
    }
    return false;
}

/* K=V with a K that a shell could name. */
static bool env_is_valid(const struct exec_list *l)
{
    struct cbor_reader it = exec_list_begin(l);
    for (uint32_t i = 0; i < l->n; i++) {
        struct slice s = exec_list_next(&it);
        const uint8_t *eq = s.len > 0 ? memchr(s.data, '=', s.len) : NULL;
        if (eq == NULL || eq == s.data) {
            return false;
        }
    }
    return true;
}

bool job_words_are_valid(const struct exec_list *argv, const struct exec_list *env)
{
    return argv->n > 0 && !list_has_nul(argv) && !list_has_nul(env) && env_is_valid(env);
}

enum ipx_err exec_spec_decode(struct slice in, struct exec_spec *ret)
{
    struct exec_spec s;
    enum ipx_err err = fields_decode(&spec, in, &s, sizeof(s));
    if (err != IPX_OK) {
        return err;
    }
    bool has_source = s.stream.len > 0;
    if (!job_words_are_valid(&s.argv, &s.env) || s.needs.cpu == 0 ||
        has_source != (s.stdin_kind == EXEC_STDIN_SOURCE) ||
        (s.mode == EXEC_MODE_RUN && s.count != 1)) {
        return IPX_MALFORMED;
    }
    *ret = s;
    return IPX_OK;
}

/* --- placeholders --- */

enum hole { HOLE_NONE, HOLE_ITEM, HOLE_BARE, HOLE_INDEX, HOLE_COLUMN };

#define COLUMNS_MAX 16u

/* The placeholder at the begin of `s`, its length, and the column of {N}. */
static enum hole hole_at(struct slice s, size_t *ret_len, uint32_t *ret_column)
{
    if (s.len < 2 || s.data[0] != '{') {
        return HOLE_NONE;
    }
    if (s.data[1] == '}') {
        *ret_len = 2;
        return HOLE_ITEM;
    }
    if (s.len >= 3 && s.data[2] == '}' && (s.data[1] == '.' || s.data[1] == '#')) {
        *ret_len = 3;
        return s.data[1] == '.' ? HOLE_BARE : HOLE_INDEX;
    }
    uint32_t n = 0;
    size_t i = 1;
    while (i < s.len && i < 3 && s.data[i] >= '0' && s.data[i] <= '9') {
        n = n * 10 + (uint32_t)(s.data[i++] - '0');
    }
    if (i > 1 && i < s.len && s.data[i] == '}' && s.data[1] != '0' && n <= COLUMNS_MAX) {
        *ret_len = i + 1;
        *ret_column = n;
        return HOLE_COLUMN;
    }
    return HOLE_NONE;
}

bool job_has_placeholder(const struct exec_list *argv)
{
    struct cbor_reader it = exec_list_begin(argv);
    for (uint32_t i = 0; i < argv->n; i++) {
        struct slice word = exec_list_next(&it);
        for (size_t at = 0; at < word.len; at++) {
            size_t len;
            uint32_t column;
            struct slice rest = slice_of(word.data + at, word.len - at);
            if (hole_at(rest, &len, &column) != HOLE_NONE) {
                return true;
            }
        }
    }
    return false;
}

/* Column n, from 1; empty if there is none. */
static struct slice item_column(struct slice item, uint32_t n)
{
    size_t start = 0;
    for (size_t i = 0; i <= item.len; i++) {
        if (i == item.len || item.data[i] == '\t') {
            if (--n == 0) {
                return slice_of(item.data + start, i - start);
            }
            start = i + 1;
        }
    }
    return SLICE_EMPTY;
}

/* The item with its columns joined by a blank. */
static void item_write(struct slice item, struct writer *w)
{
    uint8_t *to = item.len > 0 ? writer_reserve(w, item.len) : NULL;
    for (size_t i = 0; to != NULL && i < item.len; i++) {
        to[i] = item.data[i] == '\t' ? ' ' : item.data[i];
    }
}

/* Without the last extension: the dot is behind the last slash and not the first of its name. */
static struct slice item_bare(struct slice item)
{
    for (size_t i = item.len; i > 1; i--) {
        if (item.data[i - 1] == '/') {
            break;
        }
        if (item.data[i - 1] == '.' && item.data[i - 2] != '/') {
            return slice_of(item.data, i - 1);
        }
    }
    return item;
}

static void number_write(uint64_t v, struct writer *w)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    writer_bytes(w, slice_of(text, (size_t)len));
}

static void word_write(struct slice word, struct slice item, uint32_t index, struct writer *w)
{
    for (size_t at = 0; at < word.len;) {
        size_t len = 0;
        uint32_t column = 0;
        switch (hole_at(slice_of(word.data + at, word.len - at), &len, &column)) {
        case HOLE_NONE:
            writer_u8(w, word.data[at]);
            len = 1;
            break;
        case HOLE_ITEM:
            item_write(item, w);
            break;
        case HOLE_BARE:
            item_write(item_bare(item), w);
            break;
        case HOLE_INDEX:
            number_write(index, w);
            break;
        case HOLE_COLUMN:
            writer_bytes(w, item_column(item, column));
            break;
        }
        at += len;
    }
    writer_u8(w, 0);
}

/* The columns as words of their own. */
static uint32_t columns_write(struct slice item, struct writer *w)
{
    uint32_t n = 1;
    for (size_t i = 0; i < item.len; i++) {
        writer_u8(w, item.data[i] == '\t' ? 0 : item.data[i]);
        n += item.data[i] == '\t';
    }
    writer_u8(w, 0);
    return n;
}

void job_argv_write(const struct exec_spec *s, struct slice item, uint32_t index, struct writer *w,
                    uint32_t *ret_n)
{
    bool is_map = s->mode == EXEC_MODE_MAP;
    struct cbor_reader it = exec_list_begin(&s->argv);
    uint32_t n = s->argv.n;
    for (uint32_t i = 0; i < s->argv.n; i++) {
        struct slice word = exec_list_next(&it);
        if (is_map) {
            word_write(word, item, index, w);
        } else {
            writer_bytes(w, word);
            writer_u8(w, 0);
        }
    }
    if (is_map && !job_has_placeholder(&s->argv)) {
        n += columns_write(item, w);
    }
    *ret_n = n;
}

/* --- environment --- */

static void env_number(struct writer *w, const char *name, uint64_t v)
{
    writer_bytes(w, slice_text(name));
    number_write(v, w);
    writer_u8(w, 0);
}

static void env_text(struct writer *w, const char *name, const char *v)
{
    writer_bytes(w, slice_text(name));
    writer_bytes(w, slice_text(v));
    writer_u8(w, 0);
}

uint64_t job_seed(const struct exec_job_id *job, uint32_t index)
{
    /* splitmix64 over id and index: a fixed, public function, so that anyone can repeat it */
    uint64_t x = load_be64(job->bytes) ^ ((uint64_t)load_be16(job->bytes + 8) << 32) ^ index;
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void job_env_write(const struct job_env *e, struct writer *w, uint32_t *ret_n)
{
    char id[EXEC_JOB_TEXT_SIZE];
    job_id_text(e->job, id);
    env_text(w, "IPX_JOB=", id);
    env_number(w, "IPX_INDEX=", e->index);
    env_number(w, "IPX_COUNT=", e->count);
    env_number(w, "IPX_ATTEMPT=", e->attempt);
    env_number(w, "IPX_SEED=", job_seed(e->job, e->index));
    env_text(w, "IPX_NODE=", e->node);
    env_text(w, "IPX_LAB=", e->lab);
    *ret_n = 7;
    if (e->deadline_ms > 0) {
        env_number(w, "IPX_DEADLINE=", (uint64_t)e->deadline_ms / 1000);
        (*ret_n)++;
    }
}

/* --- ranges --- */

/* A decimal number with an optional sign, at most 18 digits, at *at. */
static bool range_number(struct slice text, size_t *at, int64_t *ret)
{
    bool is_negative = *at < text.len && text.data[*at] == '-';
    size_t i = *at + is_negative, first = i;
    int64_t v = 0;
    while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9' && i - first < 18) {
        v = v * 10 + (text.data[i++] - '0');
    }
    if (i == first) {
        return false;
    }
    *at = i;
    *ret = is_negative ? -v : v;
    return true;
}

static bool range_sign(struct slice text, size_t *at, char c)
{
    if (*at < text.len && text.data[*at] == (uint8_t)c) {
        (*at)++;
        return true;
    }
    return false;
}

enum ipx_err job_range_parse(struct slice text, struct job_range *ret)
{
    struct job_range r = {.step = 1};
    size_t at = 0;
    if (!range_number(text, &at, &r.first) || !range_sign(text, &at, '-') ||
        !range_number(text, &at, &r.last)) {
        return IPX_MALFORMED;
    }
    if (range_sign(text, &at, ':') && !range_number(text, &at, &r.step)) {
        return IPX_MALFORMED;
    }
    if (at != text.len || r.step == 0) {
        return IPX_MALFORMED;
    }
    uint64_t step = (uint64_t)(r.step < 0 ? -r.step : r.step);
    uint64_t span = (uint64_t)(r.last > r.first ? r.last - r.first : r.first - r.last);
    if (span / step + 1 > EXEC_TASKS_MAX) {
        return IPX_LIMIT;
    }
    r.count = (uint32_t)(span / step + 1);
    r.step = r.last < r.first ? -(int64_t)step : (int64_t)step;
    *ret = r;
    return IPX_OK;
}

size_t job_range_item(const struct job_range *r, uint32_t index, char *out)
{
    assert(index < r->count);
    int len = snprintf(out, 24, "%lld", (long long)(r->first + (int64_t)index * r->step));
    return (size_t)len;
}

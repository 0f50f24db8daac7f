/* SPDX-License-Identifier: Apache-2.0 */
#include "base/label_core.h"

static const char *const reserved_words[] = {"true",   "false",    "and", "or",  "not",
                                             "in",     "like",     "has", "min", "max",
                                             "subset", "overlaps", "any", "all", "count"};
static const char *const evaluator_names[] = {"lab",       "node.name", "node.key",
                                              "node.caps", "rtt",       "ad.age"};
static const char *const reserved_names[] = {"lab", "load", "cuda", "tools", "ad.age", "rtt"};
static const char *const reserved_prefixes[] = {"node.", "os.",  "cpu.", "mem.",
                                                "disk.", "net.", "job."};

/* --- names --- */

static bool is_one_of(struct slice word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_equal(word, slice_text(list[i]))) {
            return true;
        }
    }
    return false;
}

bool label_word_is_reserved(struct slice word)
{
    return is_one_of(word, reserved_words, ARRAY_LEN(reserved_words));
}

bool label_kind_is_valid(struct slice kind)
{
    struct lex l = lex_of(kind);
    return kind.len > 0 && kind.len <= LABEL_NAME_MAX && lex_ident_len(&l) == kind.len &&
           !label_word_is_reserved(kind);
}

bool label_name_is_valid(struct slice name)
{
    struct lex l = lex_of(name);
    return name.len > 0 && name.len <= LABEL_NAME_MAX && lex_name_len(&l) == name.len &&
           !label_word_is_reserved(name) && !lex_is_version(&l);
}

static bool starts_with(struct slice name, const char *prefix)
{
    size_t len = strlen(prefix);
    return name.len >= len && memcmp(name.data, prefix, len) == 0;
}

bool label_name_is_reserved(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(reserved_prefixes); i++) {
        if (starts_with(name, reserved_prefixes[i])) {
            return true;
        }
    }
    return is_one_of(name, reserved_names, ARRAY_LEN(reserved_names));
}

bool label_name_is_evaluator(struct slice name)
{
    return starts_with(name, "job.") ||
           is_one_of(name, evaluator_names, ARRAY_LEN(evaluator_names));
}

size_t label_tag_len(struct slice in)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.data[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            len = i + 1;
        } else if (len != i || i == 0 || (c != '.' && c != '_' && c != '-')) {
            break;
        }
    }
    return len;
}

bool label_tag_is_valid(struct slice tag)
{
    return tag.len > 0 && tag.len <= LABEL_TAG_MAX && label_tag_len(tag) == tag.len;
}

/* --- values --- */

/* Bytes of the UTF-8 sequence at the start of `s`, 0 if it is none (RFC 3629 section 4). */
static size_t utf8_len(struct slice s)
{
    uint8_t c = s.data[0];
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (len == 0 || len > s.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (c == 0xe0 && s.data[1] < 0xa0) || (c == 0xf0 && s.data[1] < 0x90);
    bool is_beyond = (c == 0xed && s.data[1] >= 0xa0) || (c == 0xf4 && s.data[1] >= 0x90);
    return is_overlong || is_beyond ? 0 : len;
}

bool label_text_is_valid(struct slice text)
{
    size_t pos = 0;
    while (pos < text.len) {
        uint8_t c = text.data[pos];
        size_t len = utf8_len(slice_of(text.data + pos, text.len - pos));
        if (len == 0 || c < 0x20 || c == 0x7f) {
            return false;
        }
        pos += len;
    }
    return text.len <= LABEL_STRING_MAX;
}

bool label_dim_equal(struct label_dim a, struct label_dim b)
{
    return a.bytes == b.bytes && a.seconds == b.seconds;
}

bool label_dim_has_unit(struct label_dim dim)
{
    return (dim.bytes == 0 && dim.seconds >= -1 && dim.seconds <= 1) ||
           (dim.bytes == 1 && (dim.seconds == 0 || dim.seconds == -1));
}

bool label_number_is_valid(double x)
{
    return __builtin_isfinite(x) && !(x == 0 && __builtin_signbit(x));
}

static bool version_is_valid(const struct label_value *v)
{
    if (v->version_parts < 1 || v->version_parts > LABEL_VERSION_PARTS) {
        return false;
    }
    for (size_t i = v->version_parts; i < LABEL_VERSION_PARTS; i++) {
        if (v->version[i] != 0) {
            return false;
        }
    }
    return v->text.len == 0 || label_tag_is_valid(v->text);
}

static bool set_is_valid(const struct label_value *v)
{
    for (size_t i = 0; i < v->n_set; i++) {
        if (!label_text_is_valid(v->set[i]) ||
            (i > 0 && slice_compare(v->set[i - 1], v->set[i]) >= 0)) {
            return false;
        }
    }
    return v->n_set <= LABEL_SET_MAX;
}

bool label_value_is_valid(const struct label_value *v)
{
    switch ((enum label_type)v->type) {
    case LABEL_BOOL:
        return true;
    case LABEL_NUMBER:
        return label_number_is_valid(v->number) && label_dim_has_unit(v->dim);
    case LABEL_STRING:
        return label_text_is_valid(v->text);
    case LABEL_VERSION:
        return version_is_valid(v);
    case LABEL_SET:
        return set_is_valid(v);
    }
    return false;
}

int label_version_compare(const struct label_value *a, const struct label_value *b)
{
    for (size_t i = 0; i < LABEL_VERSION_PARTS; i++) {
        if (a->version[i] != b->version[i]) {
            return a->version[i] < b->version[i] ? -1 : 1;
        }
    }
    if ((a->text.len == 0) != (b->text.len == 0)) {
        return a->text.len == 0 ? 1 : -1;
    }
    return slice_compare(a->text, b->text);
}

static bool set_equal(const struct label_value *a, const struct label_value *b)
{
    if (a->n_set != b->n_set) {
        return false;
    }
    for (size_t i = 0; i < a->n_set; i++) {
        if (!slice_equal(a->set[i], b->set[i])) {
            return false;
        }
    }
    return true;
}

bool label_value_equal(const struct label_value *a, const struct label_value *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch ((enum label_type)a->type) {
    case LABEL_BOOL:
        return a->boolean == b->boolean;
    case LABEL_NUMBER:
        return label_dim_equal(a->dim, b->dim) && a->number == b->number;
    case LABEL_STRING:
        return slice_equal(a->text, b->text);
    case LABEL_VERSION:
        return label_version_compare(a, b) == 0;
    case LABEL_SET:
        return set_equal(a, b);
    }
    return false;
}

size_t label_set_sort(struct slice *strings, size_t n)
{
    size_t n_sorted = 0;
    for (size_t i = 0; i < n; i++) {
        struct slice s = strings[i];
        size_t at = n_sorted;
        while (at > 0 && slice_compare(strings[at - 1], s) > 0) {
            at--;
        }
        if (at > 0 && slice_equal(strings[at - 1], s)) {
            continue;
        }
        memmove(strings + at + 1, strings + at, (n_sorted - at) * sizeof(*strings));
        strings[at] = s;
        n_sorted++;
    }
    return n_sorted;
}

/* --- search --- */

uint16_t label_mark(struct slice name)
{
    uint32_t h = UINT32_C(2166136261); /* FNV-1a: short names, no need for secrecy */
    for (size_t i = 0; i < name.len; i++) {
        h = (h ^ name.data[i]) * UINT32_C(16777619);
    }
    return (uint16_t)(h ^ (h >> 16));
}

static const struct label_value *find_marked(const struct label *labels, const uint16_t *marks,
                                             size_t n, struct slice name, uint16_t mark)
{
    for (size_t i = 0; i < n; i++) {
        if (marks[i] == mark && labels[i].name.len == name.len &&
            memcmp(labels[i].name.data, name.data, name.len) == 0) {
            return &labels[i].value;
        }
    }
    return NULL;
}

const struct label_value *ad_find_marked(const struct ad *a, struct slice name, uint16_t mark)
{
    return find_marked(a->labels, a->marks, a->n_labels, name, mark);
}

const struct label_value *resource_find_marked(const struct resource *r, struct slice name,
                                               uint16_t mark)
{
    return find_marked(r->labels, r->marks, r->n_labels, name, mark);
}

const struct label_value *ad_find(const struct ad *a, struct slice name)
{
    return ad_find_marked(a, name, label_mark(name));
}

const struct label_value *resource_find(const struct resource *r, struct slice name)
{
    return resource_find_marked(r, name, label_mark(name));
}

const struct label_value *label_find(const struct label *labels, size_t n, struct slice name)
{
    size_t low = 0;
    while (low < n) {
        size_t mid = low + (n - low) / 2;
        int order = slice_compare(labels[mid].name, name);
        if (order == 0) {
            return &labels[mid].value;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            n = mid;
        }
    }
    return NULL;
}

/* --- references --- */

struct ad *ad_ref(struct ad *a)
{
    assert(a->n_refs > 0 && a->n_refs < UINT32_MAX);
    a->n_refs++;
    return a;
}

void ad_unref(struct ad *a)
{
    if (a == NULL) {
        return;
    }
    assert(a->n_refs > 0);
    if (--a->n_refs == 0) {
        mem_free(a->mem, a);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Values and ads as people write them (language.md section 2). */
#include "base/label_core.h"

/* --- values --- */

static bool is_word(struct slice text, const char *word)
{
    return slice_equal(text, slice_text(word));
}

/* Tries to read all of `l` as one literal. */
static bool parse_literal(struct lex *l, struct lex_pool *pool, struct label_value *ret)
{
    uint8_t c = lex_byte(l, 0);
    if (is_word(l->in, "true") || is_word(l->in, "false")) {
        *ret = (struct label_value){.type = LABEL_BOOL, .boolean = c == 't'};
        return true;
    }
    bool is_read = false, is_negative = c == '-';
    l->pos += is_negative ? 1 : 0;
    c = lex_byte(l, 0);
    if (c >= '0' && c <= '9') {
        is_read = lex_number(l, ret);
        ret->number = is_read && is_negative && ret->number != 0 ? -ret->number : ret->number;
    } else if (is_negative) {
        return false;
    } else if (lex_is_version(l)) {
        is_read = lex_version(l, ret);
    } else if (c == '"') {
        is_read = lex_string(l, pool, ret);
    } else if (c == '[') {
        is_read = lex_set(l, pool, ret);
    }
    return is_read && l->pos == l->in.len;
}

enum ipx_err label_value_parse(struct slice text, struct label_scratch *scratch,
                               struct label_value *ret)
{
    struct lex_pool pool = {.bytes = scratch->bytes,
                            .n_bytes_max = sizeof(scratch->bytes),
                            .strings = scratch->set,
                            .n_strings_max = LABEL_SET_MAX};
    struct label_value v = {.type = LABEL_STRING};
    struct lex l = lex_of(text);
    if (parse_literal(&l, &pool, &v)) {
        scratch->used = pool.n_bytes;
        *ret = v;
        return IPX_OK;
    }
    if (l.err == IPX_LIMIT || text.len > LABEL_STRING_MAX) {
        return IPX_LIMIT;
    }
    if (!label_text_is_valid(text)) {
        return IPX_MALFORMED;
    }
    scratch->used = 0;
    *ret = (struct label_value){.type = LABEL_STRING, .text = text};
    return IPX_OK;
}

static void print_string(struct slice s, struct writer *w)
{
    writer_u8(w, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\') {
            writer_u8(w, '\\');
        }
        writer_u8(w, s.data[i]);
    }
    writer_u8(w, '"');
}

static void print_part(uint32_t part, struct writer *w)
{
    uint8_t digits[10];
    size_t n = 0;
    do {
        digits[n++] = (uint8_t)('0' + part % 10);
        part /= 10;
    } while (part > 0);
    while (n > 0) {
        writer_u8(w, digits[--n]);
    }
}

static void print_version(const struct label_value *v, struct writer *w)
{
    for (size_t i = 0; i < v->version_parts; i++) {
        writer_u8(w, i == 0 ? 'v' : '.');
        print_part(v->version[i], w);
    }
    if (v->text.len > 0) {
        writer_u8(w, '-');
        writer_bytes(w, v->text);
    }
}

void label_value_print(const struct label_value *v, struct writer *w)
{
    switch ((enum label_type)v->type) {
    case LABEL_BOOL:
        writer_bytes(w, slice_text(v->boolean ? "true" : "false"));
        break;
    case LABEL_NUMBER:
        label_number_print(v->number, v->dim, false, w);
        break;
    case LABEL_STRING:
        print_string(v->text, w);
        break;
    case LABEL_VERSION:
        print_version(v, w);
        break;
    case LABEL_SET:
        writer_u8(w, '[');
        for (size_t i = 0; i < v->n_set; i++) {
            writer_bytes(w, slice_text(i > 0 ? ", " : ""));
            print_string(v->set[i], w);
        }
        writer_u8(w, ']');
        break;
    }
}

/* --- ads --- */

struct ad_text {
    struct mem *mem;
    ad_text_fn *each;
    void *user;
    struct ad_builder *builder; /* NULL until the first line of an ad */
    struct slice name;
    bool has_name;
};

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_of(s.data + 1, s.len - 1);
    }
    while (s.len > 0 &&
           (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' || s.data[s.len - 1] == '\r')) {
        s.len--;
    }
    return s;
}

/* Cuts the piece before the first `stop` that is not within quotes off the front of `rest`. */
static struct slice cut(struct slice *rest, uint8_t stop)
{
    bool is_quoted = false;
    size_t i = 0;
    for (; i < rest->len && (is_quoted || rest->data[i] != stop); i++) {
        if (rest->data[i] == '"') {
            is_quoted = !is_quoted;
        } else if (is_quoted && rest->data[i] == '\\') {
            i++;
        }
    }
    i = IPX_MIN(i, rest->len);
    struct slice piece = slice_of(rest->data, i);
    size_t skip = IPX_MIN(i + 1, rest->len);
    *rest = slice_of(rest->data + skip, rest->len - skip);
    return trim(piece);
}

static enum ipx_err begin_ad(struct ad_text *t)
{
    if (t->builder == NULL) {
        t->builder = ad_builder_new(t->mem);
    }
    return t->builder == NULL ? IPX_NO_MEMORY : IPX_OK;
}

static enum ipx_err end_ad(struct ad_text *t)
{
    struct ad *ad = NULL;
    if (t->builder == NULL) {
        return IPX_OK;
    }
    enum ipx_err err = ad_builder_finish(t->builder, &ad);
    if (err != IPX_OK) {
        return err;
    }
    t->each(t->user, t->name, ad);
    ad_unref(ad);
    ad_builder_free(TAKE(t->builder));
    t->name = SLICE_EMPTY;
    t->has_name = false;
    return IPX_OK;
}

/* One `name=value`, of the node or of the resource begun last. */
static enum ipx_err add_pair(struct ad_text *t, struct slice pair, bool is_field)
{
    const uint8_t *equals = pair.len > 0 ? memchr(pair.data, '=', pair.len) : NULL;
    if (equals == NULL) {
        return IPX_MALFORMED;
    }
    size_t len = (size_t)(equals - pair.data);
    struct slice name = trim(slice_of(pair.data, len));
    struct slice text = trim(slice_of(equals + 1, pair.len - len - 1));
    struct label_scratch scratch;
    struct label_value v;
    enum ipx_err err = label_value_parse(text, &scratch, &v);
    if (err != IPX_OK) {
        return err;
    }
    return is_field ? ad_builder_field(t->builder, name, &v)
                    : ad_builder_label(t->builder, name, &v);
}

static enum ipx_err add_resource(struct ad_text *t, struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] != ' ' && line.data[len] != '\t') {
        len++;
    }
    enum ipx_err err = ad_builder_resource(t->builder, slice_of(line.data, len));
    struct slice rest = trim(slice_of(line.data + len, line.len - len));
    while (err == IPX_OK && rest.len > 0) {
        struct slice pair = cut(&rest, ';');
        if (pair.len > 0) {
            err = add_pair(t, pair, true);
        }
    }
    return err;
}

static enum ipx_err take_line(struct ad_text *t, struct slice line)
{
    if (line.len == 0) {
        return IPX_OK;
    }
    if (is_word(line, "---")) {
        return end_ad(t);
    }
    enum ipx_err err = begin_ad(t);
    if (err != IPX_OK) {
        return err;
    }
    if (line.data[0] == '#') { /* the first one names the ad, further ones are remarks */
        t->name = t->has_name ? t->name : trim(slice_of(line.data + 1, line.len - 1));
        t->has_name = true;
        return IPX_OK;
    }
    if (line.data[0] == '+') {
        return add_resource(t, slice_of(line.data + 1, line.len - 1));
    }
    if (is_word(line, "!partial")) {
        ad_builder_partial(t->builder);
        return IPX_OK;
    }
    return add_pair(t, line, false);
}

/* The direct caller knows one condition for a bad text: what is wrong is in the line. */
static enum ipx_err malformed(enum ipx_err err)
{
    return err_is_fault(err) || err == IPX_OK ? err : IPX_MALFORMED;
}

enum ipx_err ad_text_parse(struct slice text, struct mem *mem, ad_text_fn *each, void *user,
                           uint32_t *ret_line)
{
    struct ad_text t = {.mem = mem, .each = each, .user = user};
    uint32_t line = 0;
    enum ipx_err err = IPX_OK;
    for (size_t pos = 0; pos < text.len && err == IPX_OK; line++) {
        const uint8_t *end = memchr(text.data + pos, '\n', text.len - pos);
        size_t len = end == NULL ? text.len - pos : (size_t)(end - text.data) - pos;
        err = take_line(&t, trim(slice_of(text.data + pos, len)));
        pos += len + 1;
    }
    if (err == IPX_OK) {
        err = end_ad(&t);
    }
    if (err != IPX_OK && ret_line != NULL) {
        *ret_line = line;
    }
    ad_builder_free(t.builder);
    return malformed(err);
}

static void print_label(const struct label *l, struct writer *w)
{
    writer_bytes(w, l->name);
    writer_u8(w, '=');
    label_value_print(&l->value, w);
}

void ad_text_print(const struct ad *a, struct writer *w)
{
    if (!a->is_full) {
        writer_bytes(w, slice_text("!partial\n"));
    }
    for (size_t i = 0; i < a->n_labels; i++) {
        print_label(&a->labels[i], w);
        writer_u8(w, '\n');
    }
    for (size_t i = 0; i < a->n_resources; i++) {
        const struct resource *r = &a->resources[i];
        writer_u8(w, '+');
        writer_bytes(w, r->kind);
        for (size_t j = 0; j < r->n_labels; j++) {
            writer_bytes(w, slice_text(j == 0 ? " " : "; "));
            print_label(&r->labels[j], w);
        }
        writer_u8(w, '\n');
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, notes, JSON: one place that writes to stdout and stderr. */
#include "node/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/cbor.h"

#define PROGRAM "ipx-node" /* as it stands in texts */

void out_begin(struct out *o, const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    memset(o, 0, sizeof(*o));
    o->program = slash != NULL ? slash + 1 : argv0;
    o->is_tty_out = isatty(STDOUT_FILENO) == 1;
    o->is_tty_err = isatty(STDERR_FILENO) == 1;
    out_set_color(o, NULL);
}

void out_set_color(struct out *o, const char *when)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool is_plain =
        term == NULL || strcmp(term, "dumb") == 0 || (no_color != NULL && no_color[0] != '\0');
    o->color = o->is_tty_out && !is_plain;
    if (when != NULL && strcmp(when, "always") == 0) {
        o->color = true;
    } else if (when != NULL && strcmp(when, "never") == 0) {
        o->color = false;
    }
}

/* Texts name the program as it was called. */
static void put_named(const struct out *o, FILE *to, const char *text)
{
    const char *at;
    while ((at = strstr(text, PROGRAM " ")) != NULL) {
        fprintf(to, "%.*s%s", (int)(at - text), text, o->program);
        text = at + sizeof(PROGRAM) - 1;
    }
    fputs(text, to);
}

void out_text(struct out *o, const char *text)
{
    put_named(o, stdout, text);
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void fail_json(struct out *o, const struct out_error *e)
{
    json_t *object = out_object();
    json_t *error = json_object();
    json_object_set_new(error, "name", json_string(is_set(e->name) ? e->name : "FAILED"));
    json_object_set_new(error, "what", out_json_text(slice_text(e->what)));
    json_object_set_new(error, "why", out_json_text(slice_text(is_set(e->why) ? e->why : "")));
    json_object_set_new(error, "hint", out_json_text(slice_text(is_set(e->hint) ? e->hint : "")));
    json_object_set_new(object, "error", error);
    json_object_set_new(object, "exit", json_integer(e->exit_code));
    out_json(o, object);
}

int out_fail(struct out *o, const struct out_error *e)
{
    out_progress(o, "");
    if (o->json) {
        fail_json(o, e);
    }
    fflush(stdout);
    fprintf(stderr, "%s: ", o->program);
    put_named(o, stderr, e->what);
    if (is_set(e->why)) {
        fputs(": ", stderr);
        put_named(o, stderr, e->why);
    }
    if (is_set(e->hint)) {
        fputs(". ", stderr);
        put_named(o, stderr, e->hint);
    }
    fputc('\n', stderr);
    return e->exit_code;
}

void out_note(struct out *o, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (o->quiet) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    out_progress(o, "");
    put_named(o, stderr, text);
    fputc('\n', stderr);
}

void out_progress(struct out *o, const char *text)
{
    if (o->quiet || !o->is_tty_err || (text[0] == '\0' && !o->has_line)) {
        return;
    }
    o->has_line = text[0] != '\0';
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
}

/* --- JSON --- */

json_t *out_object(void)
{
    json_t *object = json_object();
    json_object_set_new(object, "v", json_integer(1));
    return object;
}

void out_json(struct out *o, json_t *object)
{
    (void)o;
    char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    if (text != NULL) {
        puts(text);
    }
    free(text);
    json_decref(object);
    fflush(stdout);
}

json_t *out_json_text(struct slice text)
{
    json_t *s = json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
    if (s != NULL) {
        return s;
    }
    /* Not UTF-8: each byte of it beyond ASCII becomes U+FFFD. */
    char *copy = malloc(3 * text.len + 1);
    size_t n = 0;
    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        if (text.data[i] < 0x80) {
            copy[n++] = (char)text.data[i];
        } else {
            memcpy(copy + n, "\xef\xbf\xbd", 3);
            n += 3;
        }
    }
    s = copy != NULL ? json_stringn(copy, n) : json_null();
    free(copy);
    return s;
}

void out_json_time(json_t *object, const char *key, int64_t unix_ms)
{
    char text[40];
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    if (unix_ms <= 0 || gmtime_r(&seconds, &tm) == NULL) {
        json_object_set_new(object, key, json_null());
        return;
    }
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(unix_ms % 1000));
    json_object_set_new(object, key, json_string(text));
}

/* --- rows --- */

static void read_value(struct cbor_reader *r, struct out_field *f)
{
    switch (cbor_peek(r)) {
    case CBOR_UINT:
        f->type = OUT_UINT;
        f->u = cbor_u64(r);
        break;
    case CBOR_NINT:
        f->type = OUT_INT;
        f->i = cbor_i64(r);
        break;
    case CBOR_DOUBLE:
        f->type = OUT_DOUBLE;
        f->d = cbor_double(r);
        break;
    case CBOR_BOOL:
        f->type = OUT_BOOL;
        f->u = cbor_bool(r);
        break;
    case CBOR_TEXT:
        f->type = OUT_TEXT;
        f->text = cbor_text(r, SIZE_MAX);
        break;
    case CBOR_BYTES:
    case CBOR_NULL:
    case CBOR_ARRAY:
    case CBOR_MAP:
    case CBOR_END:
        f->type = OUT_NULL;
        cbor_skip(r);
        break;
    }
}

enum ipx_err out_row_decode(struct slice body, struct out_row *ret)
{
    struct cbor_reader r = cbor_reader_of(body);
    size_t n = (size_t)cbor_array_begin(&r, 2 * OUT_FIELDS_MAX) / 2;
    ret->n = 0;
    for (size_t i = 0; i < n && !r.failed; i++) {
        struct out_field *f = &ret->fields[ret->n++];
        memset(f, 0, sizeof(*f));
        f->key = cbor_text(&r, 64);
        read_value(&r, f);
    }
    cbor_array_end(&r);
    return cbor_done(&r) ? IPX_OK : IPX_MALFORMED;
}

const struct out_field *out_row_find(const struct out_row *r, const char *key)
{
    for (size_t i = 0; i < r->n; i++) {
        if (slice_equal(r->fields[i].key, slice_text(key))) {
            return &r->fields[i];
        }
    }
    return NULL;
}

struct slice out_row_text(const struct out_row *r, const char *key)
{
    const struct out_field *f = out_row_find(r, key);
    return f != NULL && f->type == OUT_TEXT ? f->text : slice_text("");
}

uint64_t out_row_u64(const struct out_row *r, const char *key)
{
    const struct out_field *f = out_row_find(r, key);
    return f != NULL && (f->type == OUT_UINT || f->type == OUT_BOOL) ? f->u : 0;
}

double out_row_double(const struct out_row *r, const char *key)
{
    const struct out_field *f = out_row_find(r, key);
    if (f == NULL) {
        return 0;
    }
    return f->type == OUT_DOUBLE ? f->d : f->type == OUT_UINT ? (double)f->u : 0;
}

void out_counts(const struct out_row *r, char *out, size_t size)
{
    static const struct {
        const char *key, *one;
    } parts[] = {{"members", "node"}, {"labs", "lab"}, {"sources", "source"}};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts) && len < size; i++) {
        uint64_t n = out_row_u64(r, parts[i].key);
        len += (size_t)snprintf(out + len, size - len, "%s%llu %s%s", i > 0 ? ", " : "",
                                (unsigned long long)n, parts[i].one, n == 1 ? "" : "s");
    }
}

static json_t *field_json(const struct out_field *f)
{
    switch (f->type) {
    case OUT_UINT:
        return json_integer((json_int_t)f->u);
    case OUT_INT:
        return json_integer((json_int_t)f->i);
    case OUT_DOUBLE:
        return json_real(f->d);
    case OUT_BOOL:
        return json_boolean(f->u != 0);
    case OUT_TEXT:
        return out_json_text(f->text);
    case OUT_NULL:
        break;
    }
    return json_null();
}

json_t *out_row_object(const struct out_row *r)
{
    json_t *object = out_object();
    for (size_t i = 0; i < r->n; i++) {
        char key[65];
        if (slice_to_text(r->fields[i].key, key, sizeof(key))) {
            json_object_set_new(object, key, field_json(&r->fields[i]));
        }
    }
    return object;
}

void out_row_json(struct out *o, const struct out_row *r)
{
    out_json(o, out_row_object(r));
}

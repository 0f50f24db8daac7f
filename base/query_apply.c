/* SPDX-License-Identifier: Apache-2.0 */
/* The operators (language.md section 4): what each makes of two values or unknowns. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "base/query_core.h"

#define DIM_MAX 100 /* larger powers of bytes or seconds mean nothing */

struct query_cell query_cell_unknown(enum query_reason reason, uint16_t about)
{
    return (struct query_cell){.reason = (uint8_t)reason, .about = about};
}

struct query_cell query_cell_bool(bool b)
{
    return (struct query_cell){.type = LABEL_BOOL, .boolean = b, .about = QUERY_NO_NAME};
}

struct query_cell query_cell_of(const struct label_value *v, uint16_t about)
{
    struct query_cell c = {.type = v->type, .about = about};
    if (v->type == LABEL_NUMBER) {
        c.dim = v->dim;
        c.as.number = v->number;
    } else if (v->type == LABEL_BOOL) {
        c.boolean = v->boolean;
    } else {
        c.as.ref = v;
    }
    return c;
}

/* Of two unknowns the one that may still become known is told: a result is only as settled as
 * its least settled part, which keeps partial ads monotone. */
static struct query_cell unknown_of(const struct query_cell *a, const struct query_cell *b)
{
    if (a->type != 0 || (b->type == 0 && b->reason == QUERY_REASON_PARTIAL)) {
        return query_cell_unknown(b->reason, b->about);
    }
    return query_cell_unknown(a->reason, a->about);
}

static struct query_cell type_error(const struct query_cell *a, const struct query_cell *b)
{
    return query_cell_unknown(QUERY_REASON_TYPE, a->about != QUERY_NO_NAME ? a->about : b->about);
}

/* --- and, or, not --- */

/* A known value that is no bool counts as unknown. */
static struct query_cell truth_of(const struct query_cell *a)
{
    if (a->type == 0 || a->type == LABEL_BOOL) {
        return *a;
    }
    return query_cell_unknown(QUERY_REASON_NOT_BOOL, a->about);
}

/* `decisive` is false for and, true for or: one such operand is enough. */
static struct query_cell kleene(const struct query_cell *left, const struct query_cell *right,
                                bool decisive)
{
    struct query_cell a = truth_of(left), b = truth_of(right);
    if ((a.type == LABEL_BOOL && a.boolean == decisive) ||
        (b.type == LABEL_BOOL && b.boolean == decisive)) {
        return query_cell_bool(decisive);
    }
    if (a.type == LABEL_BOOL && b.type == LABEL_BOOL) {
        return query_cell_bool(!decisive);
    }
    return unknown_of(&a, &b);
}

struct query_cell query_cell_and(const struct query_cell *a, const struct query_cell *b)
{
    return kleene(a, b, false);
}

struct query_cell query_apply_not(const struct query_cell *a)
{
    struct query_cell c = truth_of(a);
    return c.type == LABEL_BOOL ? query_cell_bool(!c.boolean) : c;
}

/* `a ?? b`: an unknown that may become known is no reason yet to take the default. */
static struct query_cell default_of(const struct query_cell *a, const struct query_cell *b)
{
    return a->type != 0 || a->reason == QUERY_REASON_PARTIAL ? *a : *b;
}

/* --- arithmetic --- */

/* In arithmetic a bool counts 1 or 0. */
static bool as_number(const struct query_cell *c, double *ret_x, struct label_dim *ret_dim)
{
    if (c->type == LABEL_BOOL) {
        *ret_x = c->boolean ? 1 : 0;
        *ret_dim = (struct label_dim){0, 0};
        return true;
    }
    *ret_x = c->type == LABEL_NUMBER ? c->as.number : 0;
    *ret_dim = c->dim;
    return c->type == LABEL_NUMBER;
}

static struct query_cell number_cell(double x, int bytes, int seconds, uint16_t about)
{
    if (!__builtin_isfinite(x) || bytes > DIM_MAX || bytes < -DIM_MAX || seconds > DIM_MAX ||
        seconds < -DIM_MAX) {
        return query_cell_unknown(QUERY_REASON_ARITHMETIC, about);
    }
    struct query_cell c = {.type = LABEL_NUMBER, .about = QUERY_NO_NAME};
    c.as.number = x + 0.0; /* no -0 */
    c.dim = (struct label_dim){(int8_t)bytes, (int8_t)seconds};
    return c;
}

struct query_cell query_apply_neg(const struct query_cell *a)
{
    double x;
    struct label_dim dim;
    if (a->type == 0) {
        return *a;
    }
    if (!as_number(a, &x, &dim)) {
        return query_cell_unknown(QUERY_REASON_TYPE, a->about);
    }
    return number_cell(-x, dim.bytes, dim.seconds, a->about);
}

static struct query_cell arithmetic(enum query_op op, const struct query_cell *a,
                                    const struct query_cell *b)
{
    double x, y;
    struct label_dim dx, dy;
    uint16_t about = b->about != QUERY_NO_NAME ? b->about : a->about;
    bool is_number = as_number(a, &x, &dx);
    if (!as_number(b, &y, &dy) || !is_number) {
        return type_error(a, b);
    }
    if (op == QUERY_OP_MUL) {
        return number_cell(x * y, dx.bytes + dy.bytes, dx.seconds + dy.seconds, about);
    }
    if (op == QUERY_OP_DIV) {
        double quotient = y == 0 ? __builtin_inf() : x / y;
        return number_cell(quotient, dx.bytes - dy.bytes, dx.seconds - dy.seconds, about);
    }
    if (!label_dim_equal(dx, dy)) {
        return type_error(a, b);
    }
    double z = op == QUERY_OP_ADD   ? x + y
               : op == QUERY_OP_SUB ? x - y
               : op == QUERY_OP_MIN ? IPX_MIN(x, y)
                                    : IPX_MAX(x, y);
    return number_cell(z, dx.bytes, dx.seconds, about);
}

/* --- comparisons --- */

static bool is_equal(const struct query_cell *a, const struct query_cell *b)
{
    if (a->type == LABEL_NUMBER) {
        return a->as.number == b->as.number;
    }
    if (a->type == LABEL_BOOL) {
        return a->boolean == b->boolean;
    }
    return label_value_equal(a->as.ref, b->as.ref);
}

/* < <= > >=: numbers of one dimension and versions only. */
static struct query_cell ordered(enum query_op op, const struct query_cell *a,
                                 const struct query_cell *b)
{
    int order;
    if (a->type == LABEL_NUMBER) {
        order = a->as.number < b->as.number ? -1 : a->as.number > b->as.number ? 1 : 0;
    } else if (a->type == LABEL_VERSION) {
        order = label_version_compare(a->as.ref, b->as.ref);
    } else {
        return type_error(a, b);
    }
    bool is_true = op == QUERY_OP_LT   ? order < 0
                   : op == QUERY_OP_LE ? order <= 0
                   : op == QUERY_OP_GT ? order > 0
                                       : order >= 0;
    return query_cell_bool(is_true);
}

static struct query_cell compared(enum query_op op, const struct query_cell *a,
                                  const struct query_cell *b)
{
    if (a->type != b->type || (a->type == LABEL_NUMBER && !label_dim_equal(a->dim, b->dim))) {
        return type_error(a, b);
    }
    if (op == QUERY_OP_EQ || op == QUERY_OP_NE) {
        return query_cell_bool(is_equal(a, b) == (op == QUERY_OP_EQ));
    }
    return ordered(op, a, b);
}

/* --- strings and sets --- */

/* `*` is any run of bytes. The pieces between stars are found from left to right, each in time
 * linear in the text. */
static bool is_like(struct slice text, struct slice pattern)
{
    bool is_first = true;
    text = text.len > 0 ? text : slice_text("");
    for (;;) {
        const uint8_t *star = pattern.len > 0 ? memchr(pattern.data, '*', pattern.len) : NULL;
        size_t len = star == NULL ? pattern.len : (size_t)(star - pattern.data);
        if (text.len < len) {
            return false;
        }
        size_t at = 0;
        if (is_first) {
            at = 0;
        } else if (star == NULL) {
            at = text.len - len;
        } else if (len > 0) {
            const uint8_t *hit = memmem(text.data, text.len, pattern.data, len);
            if (hit == NULL) {
                return false;
            }
            at = (size_t)(hit - text.data);
        }
        if (len > 0 && memcmp(text.data + at, pattern.data, len) != 0) {
            return false;
        }
        if (star == NULL) {
            return at + len == text.len;
        }
        text = slice_of(text.data + at + len, text.len - at - len);
        pattern = slice_of(star + 1, pattern.len - len - 1);
        is_first = false;
    }
}

static bool has_member(const struct label_value *set, struct slice text)
{
    size_t low = 0, high = set->n_set;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = slice_compare(set->set[mid], text);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

/* How many strings are in both; one walk over the two sorted lists. */
static size_t n_common(const struct label_value *a, const struct label_value *b)
{
    size_t i = 0, j = 0, n = 0;
    while (i < a->n_set && j < b->n_set) {
        int order = slice_compare(a->set[i], b->set[j]);
        n += order == 0 ? 1 : 0;
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
    return n;
}

static struct query_cell of_texts(enum query_op op, const struct query_cell *a,
                                  const struct query_cell *b)
{
    uint8_t left = op == QUERY_OP_SUBSET || op == QUERY_OP_OVERLAPS ? LABEL_SET : LABEL_STRING;
    uint8_t right = op == QUERY_OP_LIKE ? LABEL_STRING : LABEL_SET;
    if (a->type != left || b->type != right) {
        return type_error(a, b);
    }
    const struct label_value *x = a->as.ref, *y = b->as.ref;
    if (op == QUERY_OP_LIKE) {
        return query_cell_bool(is_like(x->text, y->text));
    }
    if (op == QUERY_OP_SUBSET) {
        return query_cell_bool(n_common(x, y) == x->n_set);
    }
    if (op == QUERY_OP_OVERLAPS) {
        return query_cell_bool(n_common(x, y) > 0);
    }
    return query_cell_bool(has_member(y, x->text) == (op == QUERY_OP_IN));
}

struct query_cell query_apply(enum query_op op, const struct query_cell *a,
                              const struct query_cell *b)
{
    if (op == QUERY_OP_AND || op == QUERY_OP_OR) {
        return kleene(a, b, op == QUERY_OP_OR);
    }
    if (op == QUERY_OP_DEFAULT) {
        return default_of(a, b);
    }
    if (a->type == 0 || b->type == 0) {
        return unknown_of(a, b);
    }
    if (op >= QUERY_OP_EQ && op <= QUERY_OP_GE) {
        return compared(op, a, b);
    }
    if (op >= QUERY_OP_IN && op <= QUERY_OP_OVERLAPS) {
        return of_texts(op, a, b);
    }
    return arithmetic(op, a, b);
}

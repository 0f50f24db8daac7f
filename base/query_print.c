/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to text, with the fewest brackets that keep the tree. Written twice: readable if that still
 * is a legal source, else without the blanks nobody needs, which is never longer than the source.
 */
#include "base/query_core.h"

enum {
    PREC_OR = 1,
    PREC_AND,
    PREC_NOT,
    PREC_COMPARE,
    PREC_DEFAULT,
    PREC_SUM,
    PREC_PRODUCT,
    PREC_NEG,
    PREC_LEAF
};

static const struct {
    const char *text;
    uint8_t prec;
} ops[] = {
    [QUERY_OP_CONST] = {"", PREC_LEAF},
    [QUERY_OP_NAME] = {"", PREC_LEAF},
    [QUERY_OP_FIELD] = {"", PREC_LEAF},
    [QUERY_OP_HAS_NAME] = {"has", PREC_LEAF},
    [QUERY_OP_HAS_FIELD] = {"has", PREC_LEAF},
    [QUERY_OP_BEGIN] = {"", PREC_LEAF},
    [QUERY_OP_ANY] = {"any", PREC_LEAF},
    [QUERY_OP_ALL] = {"all", PREC_LEAF},
    [QUERY_OP_COUNT] = {"count", PREC_LEAF},
    [QUERY_OP_MIN] = {"min", PREC_LEAF},
    [QUERY_OP_MAX] = {"max", PREC_LEAF},
    [QUERY_OP_NEG] = {"-", PREC_NEG},
    [QUERY_OP_NOT] = {"not", PREC_NOT},
    [QUERY_OP_MUL] = {"*", PREC_PRODUCT},
    [QUERY_OP_DIV] = {"/", PREC_PRODUCT},
    [QUERY_OP_ADD] = {"+", PREC_SUM},
    [QUERY_OP_SUB] = {"-", PREC_SUM},
    [QUERY_OP_DEFAULT] = {"??", PREC_DEFAULT},
    [QUERY_OP_EQ] = {"==", PREC_COMPARE},
    [QUERY_OP_NE] = {"!=", PREC_COMPARE},
    [QUERY_OP_LT] = {"<", PREC_COMPARE},
    [QUERY_OP_LE] = {"<=", PREC_COMPARE},
    [QUERY_OP_GT] = {">", PREC_COMPARE},
    [QUERY_OP_GE] = {">=", PREC_COMPARE},
    [QUERY_OP_IN] = {"in", PREC_COMPARE},
    [QUERY_OP_NOT_IN] = {"not in", PREC_COMPARE},
    [QUERY_OP_LIKE] = {"like", PREC_COMPARE},
    [QUERY_OP_SUBSET] = {"subset", PREC_COMPARE},
    [QUERY_OP_OVERLAPS] = {"overlaps", PREC_COMPARE},
    [QUERY_OP_AND] = {"and", PREC_AND},
    [QUERY_OP_OR] = {"or", PREC_OR},
};

/* Printing wants at most this: a readable text has a blank or two for each node. */
#define PRINT_MAX (4 * QUERY_SOURCE_MAX)

struct item { /* what is still to be written: a node, or a piece of text */
    const char *text;
    uint16_t node;
    uint8_t prec; /* brackets around anything that binds less */
};

struct print {
    const struct query *q;
    struct writer w;
    bool is_compact;
    size_t version_end; /* where the last version was written to */
    size_t n_items;
    struct item items[QUERY_ARRAY_MAX * 2];
};

static bool is_word_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* The two tokens would be read as one. Behind `10MB/` an s would join the unit, behind `v1-` a
 * word would become its tag. */
static bool is_joining(const struct print *p, uint8_t first)
{
    if (p->w.len == 0) {
        return false;
    }
    uint8_t last = p->w.data[p->w.len - 1];
    uint8_t before = p->w.len > 1 ? p->w.data[p->w.len - 2] : 0;
    return (is_word_byte(last) && is_word_byte(first)) ||
           (before == 'B' && last == '/' && first == 's') ||
           (p->version_end + 1 == p->w.len && last == '-' && is_word_byte(first));
}

/* Writes a token, with a blank before it only where it needs one. */
static void put_token(struct print *p, struct slice s)
{
    if (s.len > 0 && is_joining(p, s.data[0])) {
        writer_u8(&p->w, ' ');
    }
    writer_bytes(&p->w, s);
}

static void put_text(struct print *p, const char *text)
{
    put_token(p, slice_text(text));
}

/* An operator between two operands. */
static void put_operator(struct print *p, const char *text)
{
    if (p->is_compact) {
        put_text(p, text);
        return;
    }
    writer_u8(&p->w, ' ');
    writer_bytes(&p->w, slice_text(text));
    writer_u8(&p->w, ' ');
}

static void put_set(struct print *p, const struct label_value *v)
{
    uint8_t bytes[PRINT_MAX];
    put_text(p, "[");
    for (size_t i = 0; i < v->n_set; i++) {
        struct label_value s = {.type = LABEL_STRING, .text = v->set[i]};
        struct writer w = writer_of(bytes, sizeof(bytes));
        label_value_print(&s, &w);
        writer_bytes(&p->w, slice_text(i > 0 ? "," : ""));
        writer_bytes(&p->w, writer_slice(&w));
    }
    put_text(p, "]");
}

static void put_const(struct print *p, const struct label_value *v)
{
    uint8_t bytes[PRINT_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (p->is_compact && v->type == LABEL_SET) {
        put_set(p, v);
        return;
    }
    if (v->type == LABEL_NUMBER) {
        label_number_print(v->number, v->dim, p->is_compact, &w);
    } else {
        label_value_print(v, &w);
    }
    put_token(p, writer_slice(&w));
    p->version_end = v->type == LABEL_VERSION ? p->w.len : p->version_end;
}

static void later(struct print *p, const char *text, uint16_t node, uint8_t prec)
{
    assert(p->n_items < ARRAY_LEN(p->items));
    p->items[p->n_items++] = (struct item){text, node, prec};
}

static uint8_t node_prec(const struct print *p, const struct query_node *n)
{
    if (n->op == QUERY_OP_CONST && p->q->consts[n->arg].type == LABEL_NUMBER &&
        p->q->consts[n->arg].number < 0) {
        return PREC_NEG;
    }
    return ops[n->op].prec;
}

static void put_leaf(struct print *p, const struct query_node *n)
{
    if (n->op == QUERY_OP_CONST) {
        put_const(p, &p->q->consts[n->arg]);
    } else if (n->op == QUERY_OP_NAME || n->op == QUERY_OP_FIELD) {
        put_token(p, query_name_shown(&p->q->names[n->arg]));
    } else {
        put_text(p, "has");
        put_text(p, "(");
        put_token(p, query_name_shown(&p->q->names[n->arg]));
        put_text(p, ")");
    }
}

/* Writes what stands first and leaves the rest on the stack, last part first. */
static void put_node(struct print *p, uint16_t at)
{
    const struct query_node *n = &p->q->nodes[at];
    uint16_t right = (uint16_t)(at - 1);
    uint8_t prec = ops[n->op].prec;
    if (n->op <= QUERY_OP_HAS_FIELD) {
        put_leaf(p, n);
    } else if (n->op <= QUERY_OP_COUNT) {
        put_text(p, ops[n->op].text);
        put_token(p, p->q->names[p->q->nodes[n->arg].arg].text);
        writer_bytes(&p->w, slice_text(p->is_compact ? "(" : " ("));
        later(p, ")", 0, 0);
        later(p, NULL, right, 0);
    } else if (n->op <= QUERY_OP_MAX) {
        put_text(p, ops[n->op].text);
        put_text(p, "(");
        later(p, ")", 0, 0);
        later(p, NULL, right, 0);
        later(p, p->is_compact ? "," : ", ", 0, 0);
        later(p, NULL, n->left, 0);
    } else if (n->op <= QUERY_OP_NOT) {
        put_text(p, ops[n->op].text);
        later(p, NULL, right, prec);
        if (n->op == QUERY_OP_NOT && !p->is_compact) {
            writer_u8(&p->w, ' ');
        }
    } else {
        bool is_chained = prec != PREC_COMPARE;
        later(p, NULL, right, (uint8_t)(prec + 1));
        later(p, ops[n->op].text, QUERY_NO_NAME, 0);
        later(p, NULL, n->left, (uint8_t)(is_chained ? prec : prec + 1));
    }
}

static void put_item(struct print *p, struct item item)
{
    if (item.text != NULL && item.node == QUERY_NO_NAME) {
        put_operator(p, item.text);
    } else if (item.text != NULL) {
        writer_bytes(&p->w, slice_text(item.text));
    } else if (node_prec(p, &p->q->nodes[item.node]) < item.prec) {
        put_text(p, "(");
        later(p, ")", 0, 0);
        later(p, NULL, item.node, 0);
    } else {
        put_node(p, item.node);
    }
}

static struct slice print_all(struct print *p, const struct query *q, bool is_compact,
                              uint8_t *bytes)
{
    p->q = q;
    p->w = writer_of(bytes, PRINT_MAX);
    p->is_compact = is_compact;
    p->version_end = PRINT_MAX;
    p->n_items = 0;
    later(p, NULL, (uint16_t)(q->n_nodes - 1), 0);
    while (p->n_items > 0) {
        put_item(p, p->items[--p->n_items]);
    }
    return writer_slice(&p->w);
}

void query_print(const struct query *q, struct writer *w)
{
    struct print p;
    uint8_t bytes[PRINT_MAX];
    struct slice text = print_all(&p, q, false, bytes);
    if (p.w.failed || text.len > QUERY_SOURCE_MAX) {
        text = print_all(&p, q, true, bytes);
    }
    if (p.w.failed || text.len > QUERY_SOURCE_MAX) { /* odd digits at the very limit */
        text = q->source;
    }
    writer_bytes(w, text);
}

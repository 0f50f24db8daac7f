/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From source text to postfix (language.md section 3) with an explicit stack of open operators:
 * operators wait there until one that binds less strongly, or a bracket, closes them.
 */
#include "base/query_parser.h"

struct word_op {
    const char *text;
    uint8_t op;
    uint8_t bind;
};

/* The longest first where one begins another. */
static const struct word_op sign_ops[] = {
    {"==", QUERY_OP_EQ, BIND_COMPARE},      {"!=", QUERY_OP_NE, BIND_COMPARE},
    {"<=", QUERY_OP_LE, BIND_COMPARE},      {">=", QUERY_OP_GE, BIND_COMPARE},
    {"<", QUERY_OP_LT, BIND_COMPARE},       {">", QUERY_OP_GT, BIND_COMPARE},
    {"??", QUERY_OP_DEFAULT, BIND_DEFAULT}, {"+", QUERY_OP_ADD, BIND_SUM},
    {"-", QUERY_OP_SUB, BIND_SUM},          {"*", QUERY_OP_MUL, BIND_PRODUCT},
    {"/", QUERY_OP_DIV, BIND_PRODUCT},
};

static const struct word_op word_ops[] = {
    {"and", QUERY_OP_AND, BIND_AND},           {"or", QUERY_OP_OR, BIND_OR},
    {"in", QUERY_OP_IN, BIND_COMPARE},         {"like", QUERY_OP_LIKE, BIND_COMPARE},
    {"subset", QUERY_OP_SUBSET, BIND_COMPARE}, {"overlaps", QUERY_OP_OVERLAPS, BIND_COMPARE},
};

/* --- building --- */

bool parse_fail(struct parse *p, size_t pos, const char *message)
{
    return lex_fail(&p->lex, IPX_MALFORMED, pos, message);
}

bool parse_emit(struct parse *p, struct query_node node, size_t pos)
{
    if (node.op != QUERY_OP_BEGIN && p->n_counted == QUERY_NODES_MAX) {
        return lex_fail(&p->lex, IPX_LIMIT, pos, "an expression of more than 256 parts");
    }
    assert(p->n_nodes < QUERY_ARRAY_MAX);
    if (node.op != QUERY_OP_BEGIN) {
        p->n_counted++;
    }
    p->nodes[p->n_nodes++] = node;
    return true;
}

bool parse_emit_operand(struct parse *p, enum query_op op, uint16_t arg, size_t start)
{
    struct query_node n = {.op = (uint8_t)op, .arg = arg};
    n.start = (uint16_t)start;
    n.end = (uint16_t)p->lex.pos;
    if (!parse_emit(p, n, start)) {
        return false;
    }
    p->operands[p->n_operands++] = (uint16_t)(p->n_nodes - 1);
    return true;
}

bool parse_open(struct parse *p, struct open_op o)
{
    assert(p->n_open < OPEN_MAX);
    if (o.kind != OPEN_BINARY) {
        if (p->depth == QUERY_DEPTH_MAX) {
            return lex_fail(&p->lex, IPX_LIMIT, o.pos, "an expression nested deeper than 32");
        }
        p->depth++;
    }
    p->open[p->n_open++] = o;
    return true;
}

static struct query_cell literal_cell(const struct parse *p, uint16_t node)
{
    return query_cell_of(&p->consts[p->nodes[node].arg], QUERY_NO_NAME);
}

static bool is_literal(const struct parse *p, uint16_t node)
{
    return p->nodes[node].op == QUERY_OP_CONST;
}

/* -5 is one literal; of others than numbers and bools it is a mistake that shows at once. */
static bool close_neg(struct parse *p, uint16_t root, uint16_t pos)
{
    if (is_literal(p, root)) {
        struct label_value *v = &p->consts[p->nodes[root].arg];
        if (v->type == LABEL_NUMBER) {
            v->number = 0.0 - v->number;
            p->nodes[root].start = pos;
            return true;
        }
        if (v->type != LABEL_BOOL) {
            return parse_fail(p, pos, "this has no negative");
        }
    }
    struct query_node n = {.op = QUERY_OP_NEG, .start = pos, .end = p->nodes[root].end};
    if (!parse_emit(p, n, pos)) {
        return false;
    }
    p->operands[p->n_operands - 1] = (uint16_t)(p->n_nodes - 1);
    return true;
}

static bool close_unary(struct parse *p, const struct open_op *o)
{
    uint16_t root = p->operands[p->n_operands - 1];
    p->depth--;
    if (o->op == QUERY_OP_NEG) {
        return close_neg(p, root, o->pos);
    }
    struct query_node n = {.op = o->op, .start = o->pos, .end = p->nodes[root].end};
    if (!parse_emit(p, n, o->pos)) {
        return false;
    }
    p->operands[p->n_operands - 1] = (uint16_t)(p->n_nodes - 1);
    return true;
}

/* Joins the two newest operands. Two literals that cannot meet are a mistake of the writer, not of
 * an ad. */
static bool close_binary(struct parse *p, const struct open_op *o, size_t start, size_t end)
{
    assert(p->n_operands >= 2);
    uint16_t right = p->operands[p->n_operands - 1], left = p->operands[p->n_operands - 2];
    if (is_literal(p, left) && is_literal(p, right)) {
        struct query_cell a = literal_cell(p, left), b = literal_cell(p, right);
        struct query_cell c = query_apply((enum query_op)o->op, &a, &b);
        if (c.type == 0 && c.reason == QUERY_REASON_TYPE) {
            return parse_fail(p, o->pos, "two values of different type or dimension");
        }
    }
    struct query_node n = {.op = o->op, .left = left};
    n.start = (uint16_t)start;
    n.end = (uint16_t)end;
    if (!parse_emit(p, n, o->pos)) {
        return false;
    }
    if (o->op == QUERY_OP_AND || o->op == QUERY_OP_OR || o->op == QUERY_OP_DEFAULT) {
        p->nodes[left].skip = (uint16_t)(p->n_nodes - 1);
    }
    p->n_operands--;
    p->operands[p->n_operands - 1] = (uint16_t)(p->n_nodes - 1);
    return true;
}

static bool close_top(struct parse *p)
{
    struct open_op o = p->open[--p->n_open];
    if (o.kind == OPEN_UNARY) {
        return close_unary(p, &o);
    }
    uint16_t right = p->operands[p->n_operands - 1], left = p->operands[p->n_operands - 2];
    return close_binary(p, &o, p->nodes[left].start, p->nodes[right].end);
}

struct open_op *parse_top(struct parse *p)
{
    return p->n_open > 0 ? &p->open[p->n_open - 1] : NULL;
}

/* Closes what binds at least as strongly as `bind`; brackets stay. */
static bool close_down_to(struct parse *p, enum bind bind)
{
    while (parse_top(p) != NULL && parse_top(p)->bind >= bind && parse_top(p)->bind != BIND_NONE) {
        if (!close_top(p)) {
            return false;
        }
    }
    return true;
}

/* --- operators --- */

static bool take_comma(struct parse *p, size_t start)
{
    if (!close_down_to(p, BIND_OR)) {
        return false;
    }
    struct open_op *o = parse_top(p);
    if (o == NULL || o->kind != OPEN_MINMAX || o->n_commas == 1) {
        return parse_fail(p, start, "`,` stands only in a set and between the two of min or max");
    }
    o->n_commas++;
    p->lex.pos++;
    return true;
}

static bool close_bracket(struct parse *p, size_t start)
{
    if (!close_down_to(p, BIND_OR)) {
        return false;
    }
    if (parse_top(p) == NULL) {
        return parse_fail(p, start, "`)` without its `(`");
    }
    struct open_op o = p->open[--p->n_open];
    p->depth--;
    p->lex.pos++;
    uint16_t root = p->operands[p->n_operands - 1];
    if (o.kind == OPEN_GROUP) {
        p->nodes[root].start = o.pos;
        p->nodes[root].end = (uint16_t)p->lex.pos;
        return true;
    }
    if (o.kind == OPEN_MINMAX) {
        if (o.n_commas == 0) {
            return parse_fail(p, start, "min and max take two values");
        }
        return close_binary(p, &o, o.pos, p->lex.pos);
    }
    assert(o.kind == OPEN_QUANTIFIER);
    struct query_node n = {.op = o.op, .arg = o.begin, .start = o.pos};
    n.end = (uint16_t)p->lex.pos;
    p->has_quantifier = false;
    p->nodes[o.begin].left = p->n_nodes;
    p->operands[p->n_operands - 1] = p->n_nodes;
    return parse_emit(p, n, o.pos);
}

/* The operator at the position, NULL if there is none; moves behind it. */
static const struct word_op *scan_operator(struct parse *p)
{
    static const struct word_op not_in = {"not in", QUERY_OP_NOT_IN, BIND_COMPARE};
    struct lex *l = &p->lex;
    size_t len = lex_name_len(l), start = l->pos;
    struct slice word = slice_of(l->in.data + start, len);
    for (size_t i = 0; i < ARRAY_LEN(word_ops); i++) {
        if (word_is(word, word_ops[i].text)) {
            l->pos += len;
            return &word_ops[i];
        }
    }
    if (word_is(word, "not")) {
        l->pos += len;
        lex_skip_space(l);
        len = lex_name_len(l);
        if (word_is(slice_of(l->in.data + l->pos, len), "in")) {
            l->pos += len;
            return &not_in;
        }
        l->pos = start;
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(sign_ops); i++) {
        size_t n = strlen(sign_ops[i].text);
        if (n <= l->in.len - start && memcmp(l->in.data + start, sign_ops[i].text, n) == 0) {
            l->pos += n;
            return &sign_ops[i];
        }
    }
    return NULL;
}

static const char *operator_hint(const struct parse *p)
{
    uint8_t c = lex_byte(&p->lex, 0);
    switch (c) {
    case '=':
        return "`=` is written `==`";
    case '&':
        return "`&` is written `and`";
    case '|':
        return "`|` is written `or`";
    case '!':
        return "`!` is written `not`";
    default:
        return "an operator such as `and` is missing here";
    }
}

/* One step behind an operand; `*ret_is_operand`: the next thing is an operand. */
static bool take_operator(struct parse *p, bool *ret_is_operand)
{
    size_t start = p->lex.pos;
    uint8_t c = lex_byte(&p->lex, 0);
    *ret_is_operand = c != ')';
    if (c == ')') {
        return close_bracket(p, start);
    }
    if (c == ',') {
        return take_comma(p, start);
    }
    const struct word_op *w = scan_operator(p);
    if (w == NULL) {
        return parse_fail(p, start, operator_hint(p));
    }
    bool is_compare = w->bind == BIND_COMPARE;
    if (!close_down_to(p, is_compare ? BIND_DEFAULT : (enum bind)w->bind)) {
        return false;
    }
    if (is_compare && parse_top(p) != NULL && parse_top(p)->bind == BIND_COMPARE) {
        return parse_fail(p, start, "comparisons do not chain; join them with `and`");
    }
    struct open_op o = {.kind = OPEN_BINARY, .op = w->op, .bind = w->bind};
    o.pos = (uint16_t)start;
    return parse_open(p, o);
}

bool parse_all(struct parse *p)
{
    bool is_operand = true;
    for (;;) {
        lex_skip_space(&p->lex);
        if (is_operand) {
            bool is_done = false;
            if (!parse_operand(p, &is_done)) {
                return false;
            }
            is_operand = !is_done;
            continue;
        }
        if (p->lex.pos == p->lex.in.len) {
            break;
        }
        if (!take_operator(p, &is_operand)) {
            return false;
        }
    }
    if (!close_down_to(p, BIND_OR)) {
        return false;
    }
    return parse_top(p) == NULL || parse_fail(p, p->lex.in.len, "`)` is missing at the end");
}

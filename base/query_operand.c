/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parser wants an operand: literals, names, brackets and what stands before them. */
#include "base/query_parser.h"

static bool take_const(struct parse *p, const struct label_value *v, size_t start)
{
    if (p->n_consts == QUERY_NODES_MAX) {
        return lex_fail(&p->lex, IPX_LIMIT, start, "an expression of more than 256 parts");
    }
    p->consts[p->n_consts] = *v;
    return parse_emit_operand(p, QUERY_OP_CONST, p->n_consts++, start);
}

/* Notes a name of `len` bytes at the position and moves behind it. */
static bool take_name_text(struct parse *p, size_t len, bool is_field, uint16_t *ret)
{
    struct slice text = slice_of(p->lex.in.data + p->lex.pos, len);
    if (len > LABEL_NAME_MAX) {
        return lex_fail(&p->lex, IPX_LIMIT, p->lex.pos, "a name over 48 bytes");
    }
    if (label_word_is_reserved(text)) {
        return parse_fail(p, p->lex.pos, "a reserved word is no name");
    }
    if (p->n_names == QUERY_ARRAY_MAX) {
        return lex_fail(&p->lex, IPX_LIMIT, p->lex.pos, "an expression of more than 256 parts");
    }
    struct query_name n = {.text = text, .is_field = is_field, .mark = label_mark(text)};
    n.is_free = is_field && slice_equal(text, slice_text("free"));
    p->names[p->n_names] = n;
    *ret = p->n_names++;
    p->lex.pos += len;
    return true;
}

/* A name or .field at the position; `as` is NAME or HAS_NAME, FIELD forms follow each. */
static bool take_name(struct parse *p, bool is_has, size_t start)
{
    bool is_field = lex_byte(&p->lex, 0) == '.';
    size_t dot = p->lex.pos;
    p->lex.pos += is_field ? 1 : 0;
    size_t len = lex_name_len(&p->lex);
    if (len == 0) {
        return parse_fail(p, p->lex.pos, "a name is missing");
    }
    if (is_field && !p->has_quantifier && !p->is_need) {
        return parse_fail(p, dot, "a field stands only within any, all or count");
    }
    if (lex_is_version(&p->lex)) {
        return parse_fail(p, p->lex.pos, "a version is no name");
    }
    uint16_t name;
    if (!take_name_text(p, len, is_field, &name)) {
        return false;
    }
    if (!is_has) {
        return parse_emit_operand(p, is_field ? QUERY_OP_FIELD : QUERY_OP_NAME, name, start);
    }
    lex_skip_space(&p->lex);
    if (lex_byte(&p->lex, 0) != ')') {
        return parse_fail(p, p->lex.pos, "has( ) takes one name");
    }
    p->lex.pos++;
    return parse_emit_operand(p, is_field ? QUERY_OP_HAS_FIELD : QUERY_OP_HAS_NAME, name, start);
}

/* `(` after a word such as min. */
static bool expect_bracket(struct parse *p, const char *message)
{
    lex_skip_space(&p->lex);
    if (lex_byte(&p->lex, 0) != '(') {
        return parse_fail(p, p->lex.pos, message);
    }
    p->lex.pos++;
    return true;
}

static bool open_quantifier(struct parse *p, enum query_op op, size_t start)
{
    if (p->has_quantifier || p->is_need) {
        return parse_fail(p, start, "any, all and count do not nest");
    }
    lex_skip_space(&p->lex);
    size_t len = lex_ident_len(&p->lex);
    uint16_t kind;
    if (len == 0) {
        return parse_fail(p, p->lex.pos, "a kind is missing, as in `any gpu (..)`");
    }
    if (!take_name_text(p, len, false, &kind) ||
        !expect_bracket(p, "`(` is missing, as in `any gpu (..)`")) {
        return false;
    }
    struct query_node n = {.op = QUERY_OP_BEGIN, .arg = kind, .start = (uint16_t)start};
    struct open_op o = {.kind = OPEN_QUANTIFIER, .op = (uint8_t)op, .begin = p->n_nodes};
    o.pos = (uint16_t)start;
    p->has_quantifier = true;
    return parse_emit(p, n, start) && parse_open(p, o);
}

/* `not` stands where a whole comparison may begin. */
static bool open_not(struct parse *p, size_t start)
{
    struct open_op o = {.kind = OPEN_UNARY, .op = QUERY_OP_NOT, .bind = BIND_NOT};
    o.pos = (uint16_t)start;
    if (parse_top(p) != NULL && parse_top(p)->bind > BIND_NOT) {
        return parse_fail(p, start, "`not` needs brackets here");
    }
    return parse_open(p, o);
}

/* A reserved word where an operand is wanted; `*ret_is_done` if the operand is complete. */
static bool take_keyword(struct parse *p, struct slice word, size_t start, bool *ret_is_done)
{
    p->lex.pos += word.len;
    if (word_is(word, "true") || word_is(word, "false")) {
        struct label_value v = {.type = LABEL_BOOL, .boolean = word_is(word, "true")};
        *ret_is_done = true;
        return take_const(p, &v, start);
    }
    if (word_is(word, "not")) {
        return open_not(p, start);
    }
    if (word_is(word, "has")) {
        *ret_is_done = true;
        if (!expect_bracket(p, "`(` is missing after has")) {
            return false;
        }
        lex_skip_space(&p->lex);
        return take_name(p, true, start);
    }
    if (word_is(word, "min") || word_is(word, "max")) {
        struct open_op o = {.kind = OPEN_MINMAX, .pos = (uint16_t)start};
        o.op = word_is(word, "min") ? QUERY_OP_MIN : QUERY_OP_MAX;
        return expect_bracket(p, "`(` is missing after min or max") && parse_open(p, o);
    }
    if (word_is(word, "any") || word_is(word, "all") || word_is(word, "count")) {
        return open_quantifier(p,
                               word_is(word, "any")   ? QUERY_OP_ANY
                               : word_is(word, "all") ? QUERY_OP_ALL
                                                      : QUERY_OP_COUNT,
                               start);
    }
    return parse_fail(p, start, "a value is missing before this word");
}

static bool take_literal(struct parse *p, size_t start)
{
    struct label_value v;
    uint8_t c = lex_byte(&p->lex, 0);
    bool is_ok = c == '"'   ? lex_string(&p->lex, &p->pool, &v)
                 : c == '[' ? lex_set(&p->lex, &p->pool, &v)
                 : c == 'v' ? lex_version(&p->lex, &v)
                            : lex_number(&p->lex, &v);
    return is_ok && take_const(p, &v, start);
}

static const char *operand_hint(uint8_t c)
{
    if (c == 0) {
        return "a value is missing at the end";
    }
    if (c == '!') {
        return "`!` is written `not`";
    }
    if (c >= 'A' && c <= 'Z') {
        return "names are written in small letters, strings in quotes";
    }
    if (c == '\'') {
        return "strings stand in double quotes";
    }
    return "a value is missing here";
}

bool parse_operand(struct parse *p, bool *ret_is_done)
{
    size_t start = p->lex.pos;
    uint8_t c = lex_byte(&p->lex, 0);
    *ret_is_done = false;
    if (c == '(') {
        struct open_op o = {.kind = OPEN_GROUP, .pos = (uint16_t)start};
        p->lex.pos++;
        return parse_open(p, o);
    }
    if (c == '-') {
        struct open_op o = {.kind = OPEN_UNARY, .op = QUERY_OP_NEG, .bind = BIND_NEG};
        o.pos = (uint16_t)start;
        p->lex.pos++;
        return parse_open(p, o);
    }
    size_t len = lex_name_len(&p->lex);
    struct slice word = slice_of(p->lex.in.data + start, len);
    if (len > 0 && label_word_is_reserved(word)) {
        return take_keyword(p, word, start, ret_is_done);
    }
    *ret_is_done = true;
    if (c == '"' || c == '[' || (c >= '0' && c <= '9') || lex_is_version(&p->lex)) {
        return take_literal(p, start);
    }
    if (len > 0 || c == '.') {
        return take_name(p, false, start);
    }
    return parse_fail(p, start, operand_hint(start < p->lex.in.len && c == 0 ? 1 : c));
}

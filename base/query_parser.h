/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The state of one compilation, shared by the three files of the parser: operands
 * (query_operand.c), operators and their stack (query_parse.c), the finished query (query_make.c).
 */
#include "base/query_core.h"

enum open_kind { OPEN_GROUP, OPEN_MINMAX, OPEN_QUANTIFIER, OPEN_UNARY, OPEN_BINARY };

/* How strongly an operator binds; brackets bind nothing. */
enum bind {
    BIND_NONE,
    BIND_OR,
    BIND_AND,
    BIND_NOT,
    BIND_COMPARE,
    BIND_DEFAULT,
    BIND_SUM,
    BIND_PRODUCT,
    BIND_NEG
};

struct open_op {
    uint8_t kind; /* enum open_kind */
    uint8_t op;   /* enum query_op: what is emitted when it closes */
    uint8_t bind;
    uint8_t n_commas; /* MINMAX */
    uint16_t begin;   /* QUANTIFIER: its BEGIN node */
    uint16_t pos;
};

/* Each waiting binary operator has its left operand among the nodes, the others count as depth. */
#define OPEN_MAX (QUERY_NODES_MAX + QUERY_DEPTH_MAX + 1)

struct parse {
    struct lex lex;
    bool is_need;
    bool has_quantifier; /* one is open */
    uint16_t depth;
    uint16_t n_nodes, n_counted, n_consts, n_names, n_operands, n_open;
    struct query_node nodes[QUERY_ARRAY_MAX];
    struct label_value consts[QUERY_NODES_MAX];
    struct query_name names[QUERY_ARRAY_MAX];
    uint16_t operands[QUERY_NODES_MAX]; /* roots of what is complete */
    struct open_op open[OPEN_MAX];
    struct lex_pool pool;
    struct slice strings[QUERY_STRINGS_MAX];
    uint8_t bytes[QUERY_SOURCE_MAX];
};

static inline bool word_is(struct slice word, const char *text)
{
    return slice_equal(word, slice_text(text));
}

/* These return false once something failed; the failure is in `lex`. */
bool parse_all(struct parse *p);
/* One step where an operand is wanted: the operand (`*ret_is_done`), or a prefix of one. */
bool parse_operand(struct parse *p, bool *ret_is_done);
bool parse_fail(struct parse *p, size_t pos, const char *message);
/* `pos` is told if there are too many. */
bool parse_emit(struct parse *p, struct query_node node, size_t pos);
/* Emits a leaf which began at `start` and ends at the position. */
bool parse_emit_operand(struct parse *p, enum query_op op, uint16_t arg, size_t start);
bool parse_open(struct parse *p, struct open_op o);
struct open_op *parse_top(struct parse *p); /* NULL if nothing is open */

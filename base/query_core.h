/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The inside of a compiled query, shared by its parser, evaluator and printer.
 *
 * Nodes stand in postfix order: the right operand of node i ends at i - 1, the left one at
 * nodes[i].left, so the array is the tree as well and nothing needs recursion. A quantifier is
 * two nodes around its body: BEGIN, body, ANY (or ALL, COUNT). Where the left operand of
 * and/or/?? decides alone, its `skip` leads to that node.
 */
#include "base/label_core.h"
#include "base/query.h"

enum query_op {
    QUERY_OP_CONST,
    QUERY_OP_NAME,
    QUERY_OP_FIELD,
    QUERY_OP_HAS_NAME,
    QUERY_OP_HAS_FIELD,
    QUERY_OP_BEGIN,
    QUERY_OP_ANY,
    QUERY_OP_ALL,
    QUERY_OP_COUNT,
    QUERY_OP_MIN,
    QUERY_OP_MAX,
    QUERY_OP_NEG,
    QUERY_OP_NOT,
    QUERY_OP_MUL,
    QUERY_OP_DIV,
    QUERY_OP_ADD,
    QUERY_OP_SUB,
    QUERY_OP_DEFAULT,
    QUERY_OP_EQ,
    QUERY_OP_NE,
    QUERY_OP_LT,
    QUERY_OP_LE,
    QUERY_OP_GT,
    QUERY_OP_GE,
    QUERY_OP_IN,
    QUERY_OP_NOT_IN,
    QUERY_OP_LIKE,
    QUERY_OP_SUBSET,
    QUERY_OP_OVERLAPS,
    QUERY_OP_AND,
    QUERY_OP_OR
};

/* BEGIN nodes are not counted against QUERY_NODES_MAX; there are fewer than of the others. */
#define QUERY_ARRAY_MAX (2 * QUERY_NODES_MAX)
#define QUERY_STRINGS_MAX (QUERY_SOURCE_MAX / 3) /* `"",` is the shortest member of a set */
#define QUERY_NO_NAME UINT16_MAX

struct query_node {
    uint8_t op;     /* enum query_op */
    uint16_t arg;   /* CONST: which constant; NAME .. HAS_FIELD, BEGIN: which name; ANY ..: BEGIN */
    uint16_t left;  /* binary: root of the left operand; BEGIN: the node that closes it */
    uint16_t skip;  /* 0: none */
    uint16_t start; /* where it stands in the source */
    uint16_t end;
};

struct query_name {
    struct slice text; /* without the dot of a field */
    uint16_t mark;
    bool is_field;
    bool is_free; /* the field `.free`, which vitals may override */
};

struct query_clause {
    uint16_t first, root;
};

struct query {
    struct mem *mem;
    uint32_t n_refs;
    bool is_need;
    uint16_t n_nodes, n_consts, n_names;
    uint16_t n_parts; /* top-level `and` parts, also those beyond QUERY_CLAUSES_MAX */
    struct slice source;
    struct query_node *nodes;
    struct label_value *consts;
    struct query_name *names;
    struct query_clause *parts;
};

/* A value while evaluating. */
struct query_cell {
    uint8_t type;         /* enum label_type; 0 is unknown */
    uint8_t reason;       /* enum query_reason of an unknown */
    bool boolean;         /* BOOL */
    struct label_dim dim; /* NUMBER */
    uint16_t about;       /* the name it came from; QUERY_NO_NAME */
    union {
        double number;                 /* NUMBER */
        const struct label_value *ref; /* STRING, VERSION, SET */
    } as;
};

struct query_cell query_cell_of(const struct label_value *v, uint16_t about);
struct query_cell query_cell_unknown(enum query_reason reason, uint16_t about);
struct query_cell query_cell_bool(bool b);
/* All operators with two operands, min and max among them. */
struct query_cell query_apply(enum query_op op, const struct query_cell *a,
                              const struct query_cell *b);
struct query_cell query_apply_neg(const struct query_cell *a);
struct query_cell query_apply_not(const struct query_cell *a);

/* Kleene's and of two results, for clauses evaluated apart. */
struct query_cell query_cell_and(const struct query_cell *a, const struct query_cell *b);

/* Evaluates nodes first .. root, a whole subtree. `resource`: of a need, or of a quantifier's body
 * evaluated alone; NULL otherwise. */
struct query_cell query_run(const struct query *q, const struct query_env *env, uint16_t first,
                            uint16_t root, const struct resource *resource);
struct query_result query_result_of(const struct query *q, const struct query_cell *c);
/* The name as written, a field with its dot. */
struct slice query_name_shown(const struct query_name *n);

/* SPDX-License-Identifier: Apache-2.0 */
/* Running the postfix array: one loop, one stack, one open quantifier at most. */
#include "base/query_core.h"

struct run {
    const struct query *q;
    const struct query_env *env;
    const struct resource *resource; /* of the open quantifier, or of a need */
    size_t resource_at;              /* its index */
    size_t depth;
    struct query_cell unknown; /* first of the open quantifier, the unsettled before others */
    uint16_t n_true, n_unknown, n_members;
    struct query_cell stack[QUERY_NODES_MAX];
};

static bool is_partial(const struct query_env *env)
{
    return env->ad != NULL && !env->ad->is_full;
}

static struct query_cell missing(const struct query_env *env, uint16_t name)
{
    return query_cell_unknown(is_partial(env) ? QUERY_REASON_PARTIAL : QUERY_REASON_MISSING, name);
}

static const struct label_value *find_name(const struct run *r, const struct query_name *n)
{
    const struct label_value *v = NULL;
    if (r->env->n_extra > 0) {
        v = label_find(r->env->extra, r->env->n_extra, n->text);
    }
    return v != NULL || r->env->ad == NULL ? v : ad_find_marked(r->env->ad, n->text, n->mark);
}

static struct query_cell eval_name(const struct run *r, uint16_t name)
{
    const struct label_value *v = find_name(r, &r->q->names[name]);
    return v == NULL ? missing(r->env, name) : query_cell_of(v, name);
}

static struct query_cell eval_field(const struct run *r, uint16_t name)
{
    const struct query_name *n = &r->q->names[name];
    if (n->is_free && r->env->free_resources != NULL) {
        struct query_cell c = query_cell_bool(r->env->free_resources[r->resource_at]);
        c.about = name;
        return c;
    }
    const struct label_value *v = resource_find_marked(r->resource, n->text, n->mark);
    return v == NULL ? missing(r->env, name) : query_cell_of(v, name);
}

static struct query_cell eval_has(const struct run *r, uint16_t name, bool is_field)
{
    struct query_cell c = is_field ? eval_field(r, name) : eval_name(r, name);
    if (c.type == 0 && c.reason == QUERY_REASON_PARTIAL) {
        return c;
    }
    return query_cell_bool(c.type != 0);
}

/* --- quantifiers --- */

/* Moves to the next resource of the kind, from index `at` on; false if there is none. */
static bool next_resource(struct run *r, uint16_t begin, size_t at)
{
    const struct ad *ad = r->env->ad;
    struct slice kind = r->q->names[r->q->nodes[begin].arg].text;
    for (; ad != NULL && at < ad->n_resources; at++) {
        if (slice_equal(ad->resources[at].kind, kind)) {
            r->resource = &ad->resources[at];
            r->resource_at = at;
            return true;
        }
    }
    r->resource = NULL;
    return false;
}

static bool begin_quantifier(struct run *r, uint16_t begin)
{
    r->n_true = r->n_unknown = r->n_members = 0;
    return next_resource(r, begin, 0);
}

static void take_member(struct run *r, struct query_cell c)
{
    if (c.type != 0 && c.type != LABEL_BOOL) {
        c = query_cell_unknown(QUERY_REASON_NOT_BOOL, c.about);
    }
    if (c.type == 0 && (r->n_unknown == 0 || (c.reason == QUERY_REASON_PARTIAL &&
                                              r->unknown.reason != QUERY_REASON_PARTIAL))) {
        r->unknown = c;
    }
    if (c.type == 0) {
        r->n_unknown++;
    } else if (c.boolean) {
        r->n_true++;
    }
    r->n_members++;
}

static uint16_t n_false(const struct run *r)
{
    return (uint16_t)(r->n_members - r->n_true - r->n_unknown);
}

/* One more member cannot change the result. */
static bool is_settled(const struct run *r, uint8_t op)
{
    return (op == QUERY_OP_ANY && r->n_true > 0) || (op == QUERY_OP_ALL && n_false(r) > 0);
}

static struct query_cell end_quantifier(const struct run *r, const struct query_node *n)
{
    if (is_settled(r, n->op)) {
        return query_cell_bool(n->op == QUERY_OP_ANY);
    }
    if (is_partial(r->env)) { /* there may be further resources */
        uint16_t about = r->n_unknown > 0 ? r->unknown.about : r->q->nodes[n->arg].arg;
        return query_cell_unknown(QUERY_REASON_PARTIAL, about);
    }
    if (r->n_unknown > 0) {
        return r->unknown;
    }
    if (n->op != QUERY_OP_COUNT) {
        return query_cell_bool(n->op == QUERY_OP_ALL);
    }
    struct query_cell c = {.type = LABEL_NUMBER, .about = QUERY_NO_NAME};
    c.as.number = r->n_true;
    return c;
}

/* --- the loop --- */

static inline void push(struct run *r, struct query_cell c)
{
    assert(r->depth < QUERY_NODES_MAX);
    r->stack[r->depth++] = c;
}

static bool is_decisive(const struct query_cell *c, uint8_t op)
{
    if (op == QUERY_OP_DEFAULT) {
        return c->type != 0;
    }
    return c->type == LABEL_BOOL && c->boolean == (op == QUERY_OP_OR);
}

static void step_binary(struct run *r, const struct query_node *n)
{
    assert(r->depth >= 2);
    r->depth--;
    r->stack[r->depth - 1] =
        query_apply((enum query_op)n->op, &r->stack[r->depth - 1], &r->stack[r->depth]);
}

/* Runs the node at `i`. Returns the node whose value is now on top of the stack; or, with
 * `*ret_is_open`, the BEGIN whose body comes next. */
static uint16_t step(struct run *r, uint16_t i, bool *ret_is_open)
{
    const struct query_node *n = &r->q->nodes[i];
    *ret_is_open = false;
    switch ((enum query_op)n->op) {
    case QUERY_OP_CONST:
        push(r, query_cell_of(&r->q->consts[n->arg], QUERY_NO_NAME));
        return i;
    case QUERY_OP_NAME:
        push(r, eval_name(r, n->arg));
        return i;
    case QUERY_OP_FIELD:
        push(r, eval_field(r, n->arg));
        return i;
    case QUERY_OP_HAS_NAME:
    case QUERY_OP_HAS_FIELD:
        push(r, eval_has(r, n->arg, n->op == QUERY_OP_HAS_FIELD));
        return i;
    case QUERY_OP_NEG:
        r->stack[r->depth - 1] = query_apply_neg(&r->stack[r->depth - 1]);
        return i;
    case QUERY_OP_NOT:
        r->stack[r->depth - 1] = query_apply_not(&r->stack[r->depth - 1]);
        return i;
    case QUERY_OP_BEGIN:
        *ret_is_open = begin_quantifier(r, i);
        if (*ret_is_open) {
            return i;
        }
        push(r, end_quantifier(r, &r->q->nodes[n->left]));
        return n->left;
    case QUERY_OP_ANY:
    case QUERY_OP_ALL:
    case QUERY_OP_COUNT:
        take_member(r, r->stack[--r->depth]);
        *ret_is_open = !is_settled(r, n->op) && next_resource(r, n->arg, r->resource_at + 1);
        if (*ret_is_open) {
            return n->arg;
        }
        push(r, end_quantifier(r, n));
        return i;
    case QUERY_OP_MIN:
    case QUERY_OP_MAX:
    case QUERY_OP_MUL:
    case QUERY_OP_DIV:
    case QUERY_OP_ADD:
    case QUERY_OP_SUB:
    case QUERY_OP_DEFAULT:
    case QUERY_OP_EQ:
    case QUERY_OP_NE:
    case QUERY_OP_LT:
    case QUERY_OP_LE:
    case QUERY_OP_GT:
    case QUERY_OP_GE:
    case QUERY_OP_IN:
    case QUERY_OP_NOT_IN:
    case QUERY_OP_LIKE:
    case QUERY_OP_SUBSET:
    case QUERY_OP_OVERLAPS:
    case QUERY_OP_AND:
    case QUERY_OP_OR:
        break;
    }
    step_binary(r, n);
    return i;
}

struct query_cell query_run(const struct query *q, const struct query_env *env, uint16_t first,
                            uint16_t root, const struct resource *resource)
{
    struct run r; /* the stack is not cleared: 4 KiB a query would cost more than the query */
    r.q = q;
    r.env = env;
    r.resource = resource;
    r.resource_at = resource == NULL ? 0 : (size_t)(resource - env->ad->resources);
    r.depth = 0;
    const struct query_node *nodes = q->nodes;
    for (uint16_t i = first;; i++) {
        bool is_open;
        i = step(&r, i, &is_open);
        while (!is_open && i != root && nodes[i].skip != 0 &&
               is_decisive(&r.stack[r.depth - 1], nodes[nodes[i].skip].op)) {
            i = nodes[i].skip;
        }
        if (i == root && !is_open) {
            break;
        }
    }
    assert(r.depth == 1);
    return r.stack[0];
}

/* --- results --- */

struct query_result query_result_of(const struct query *q, const struct query_cell *c)
{
    struct query_result res = {.truth = QUERY_VALUE};
    if (c->type == 0) {
        res.truth = QUERY_UNKNOWN;
        res.reason = (enum query_reason)c->reason;
        if (c->about != QUERY_NO_NAME) {
            res.reason_name = query_name_shown(&q->names[c->about]);
        }
    } else if (c->type == LABEL_BOOL) {
        res.truth = c->boolean ? QUERY_TRUE : QUERY_FALSE;
        res.value = (struct label_value){.type = LABEL_BOOL, .boolean = c->boolean};
    } else if (c->type == LABEL_NUMBER) {
        res.value = (struct label_value){.type = LABEL_NUMBER, .number = c->as.number};
        res.value.dim = c->dim;
    } else {
        res.value = *c->as.ref;
    }
    return res;
}

struct query_result query_eval(const struct query *q, const struct query_env *env)
{
    assert(!q->is_need);
    struct query_cell c = query_run(q, env, 0, (uint16_t)(q->n_nodes - 1), NULL);
    return query_result_of(q, &c);
}

bool query_is_true(const struct query *q, const struct query_env *env)
{
    assert(!q->is_need);
    struct query_cell c = query_run(q, env, 0, (uint16_t)(q->n_nodes - 1), NULL);
    return c.type == LABEL_BOOL && c.boolean;
}

struct query_result query_eval_resource(const struct query *q, const struct query_env *env,
                                        size_t resource)
{
    assert(q->is_need && env->ad != NULL && resource < env->ad->n_resources);
    struct query_cell c =
        query_run(q, env, 0, (uint16_t)(q->n_nodes - 1), &env->ad->resources[resource]);
    return query_result_of(q, &c);
}

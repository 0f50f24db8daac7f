/* SPDX-License-Identifier: Apache-2.0 */
/* For `why`: a query clause by clause, and how near an ad came to each. */
#include "base/query_core.h"

/* --- clauses --- */

size_t query_n_clauses(const struct query *q)
{
    return IPX_MIN(q->n_parts, QUERY_CLAUSES_MAX);
}

/* Which parts a clause stands for: one each, all the rest in the last. */
static size_t clause_end(const struct query *q, size_t clause)
{
    assert(clause < query_n_clauses(q));
    return clause + 1 == QUERY_CLAUSES_MAX ? q->n_parts : clause + 1;
}

struct slice query_clause_source(const struct query *q, size_t clause)
{
    uint16_t start = q->nodes[q->parts[clause].root].start;
    uint16_t end = q->nodes[q->parts[clause_end(q, clause) - 1].root].end;
    return slice_of(q->source.data + start, (size_t)(end - start));
}

struct query_result query_clause_eval(const struct query *q, size_t clause,
                                      const struct query_env *env)
{
    assert(!q->is_need);
    struct query_cell c = query_run(q, env, q->parts[clause].first, q->parts[clause].root, NULL);
    for (size_t i = clause + 1; i < clause_end(q, clause); i++) {
        struct query_cell next = query_run(q, env, q->parts[i].first, q->parts[i].root, NULL);
        c = query_cell_and(&c, &next);
    }
    return query_result_of(q, &c);
}

/* --- nearest miss --- */

static const char *op_text(uint8_t op, bool is_swapped)
{
    static const char *const texts[] = {"==", "!=", "<", "<=", ">", ">="};
    static const char *const swapped[] = {"==", "!=", ">", ">=", "<", "<="};
    return is_swapped ? swapped[op - QUERY_OP_EQ] : texts[op - QUERY_OP_EQ];
}

/* A part of a version counts a thousandth of the one before. */
static double version_distance(const struct label_value *a, const struct label_value *b)
{
    double sum = 0, weight = 1;
    for (size_t i = 0; i < LABEL_VERSION_PARTS; i++) {
        sum += ((double)a->version[i] - (double)b->version[i]) * weight;
        weight /= 1000;
    }
    return sum < 0 ? -sum : sum;
}

static double distance_of(const struct label_value *a, const struct label_value *b)
{
    double d = a->type == LABEL_NUMBER ? a->number - b->number : version_distance(a, b);
    return d < 0 ? -d : d;
}

/* The value of a NAME or FIELD node on this ad (and resource), or of a constant. */
static bool value_of(const struct query *q, const struct query_env *env, uint16_t node,
                     const struct resource *resource, struct label_value *ret)
{
    struct query_cell c = query_run(q, env, node, node, resource);
    struct query_result res = query_result_of(q, &c);
    *ret = res.value;
    return c.type == LABEL_NUMBER || c.type == LABEL_VERSION;
}

/* A comparison of a label with a literal at `root`. */
static bool miss_of_comparison(const struct query *q, const struct query_env *env, uint16_t root,
                               const struct resource *resource, struct query_miss *ret)
{
    const struct query_node *n = &q->nodes[root];
    if (n->op < QUERY_OP_EQ || n->op > QUERY_OP_GE) {
        return false;
    }
    uint16_t label = n->left, literal = (uint16_t)(root - 1);
    bool is_swapped = q->nodes[label].op == QUERY_OP_CONST;
    if (is_swapped) {
        label = literal;
        literal = n->left;
    }
    const struct query_node *named = &q->nodes[label];
    if ((named->op != QUERY_OP_NAME && named->op != QUERY_OP_FIELD) ||
        q->nodes[literal].op != QUERY_OP_CONST) {
        return false;
    }
    struct query_miss miss = {.name = query_name_shown(&q->names[named->arg])};
    if (!value_of(q, env, label, resource, &miss.have) ||
        !value_of(q, env, literal, resource, &miss.want) || miss.have.type != miss.want.type ||
        !label_dim_equal(miss.have.dim, miss.want.dim)) {
        return false;
    }
    miss.op = slice_text(op_text(n->op, is_swapped));
    miss.distance = distance_of(&miss.have, &miss.want);
    *ret = miss;
    return true;
}

/* One resource against a body `a and b and c`: how many parts are not true, and the nearest miss
 * among those (or among all, if none fails). */
static bool miss_of_body(const struct query *q, const struct query_env *env, uint16_t first,
                         uint16_t root, const struct resource *resource, size_t *ret_n_failed,
                         struct query_miss *ret)
{
    bool is_found = false, is_found_failed = false;
    size_t n_failed = 0;
    for (bool is_last = false; !is_last;) {
        bool is_and = q->nodes[root].op == QUERY_OP_AND;
        uint16_t part = is_and ? (uint16_t)(root - 1) : root;
        uint16_t part_first = is_and ? (uint16_t)(q->nodes[root].left + 1) : first;
        struct query_cell c = query_run(q, env, part_first, part, resource);
        bool is_failed = c.type != LABEL_BOOL || !c.boolean;
        struct query_miss miss;
        n_failed += is_failed ? 1 : 0;
        if (miss_of_comparison(q, env, part, resource, &miss) &&
            (!is_found || (is_failed && !is_found_failed) ||
             (is_failed == is_found_failed && miss.distance < ret->distance))) {
            *ret = miss;
            is_found = true;
            is_found_failed = is_failed;
        }
        is_last = !is_and;
        root = is_and ? q->nodes[root].left : root;
    }
    *ret_n_failed = n_failed;
    return is_found;
}

/* The resource that fails in the fewest parts, then the nearest. */
static bool miss_of_quantifier(const struct query *q, const struct query_env *env, uint16_t root,
                               struct query_miss *ret)
{
    const struct query_node *n = &q->nodes[root];
    struct slice kind = q->names[q->nodes[n->arg].arg].text;
    bool is_found = false;
    size_t n_best = 0;
    for (size_t i = 0; env->ad != NULL && i < env->ad->n_resources; i++) {
        const struct resource *r = &env->ad->resources[i];
        struct query_miss miss;
        size_t n_failed = 0;
        if (slice_equal(r->kind, kind) &&
            miss_of_body(q, env, (uint16_t)(n->arg + 1), (uint16_t)(root - 1), r, &n_failed,
                         &miss) &&
            (!is_found || n_failed < n_best ||
             (n_failed == n_best && miss.distance < ret->distance))) {
            *ret = miss;
            n_best = n_failed;
            is_found = true;
        }
    }
    return is_found;
}

bool query_clause_miss(const struct query *q, size_t clause, const struct query_env *env,
                       struct query_miss *ret)
{
    assert(!q->is_need && clause < query_n_clauses(q));
    uint16_t root = q->parts[clause].root;
    struct query_miss miss;
    uint8_t op = q->nodes[root].op;
    bool is_quantifier = op == QUERY_OP_ANY || op == QUERY_OP_ALL || op == QUERY_OP_COUNT;
    if (is_quantifier ? !miss_of_quantifier(q, env, root, &miss)
                      : !miss_of_comparison(q, env, root, NULL, &miss)) {
        return false;
    }
    *ret = miss;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The language which asks for labels: compiled once, evaluated on many ads
 * (language.md sections 3 and 4, exact).
 *
 * A query is a flat postfix array with at most QUERY_NODES_MAX nodes; results are
 * true, false, unknown, or a value. Evaluation allocates nothing, does not
 * recurse, and costs at most nodes x resources steps. It is monotone on partial
 * ads: what is true or false there stays so on the full ad.
 */
#include "base/label.h"

#define QUERY_SOURCE_MAX 1024
#define QUERY_NODES_MAX 256
#define QUERY_DEPTH_MAX 32
#define QUERY_CLAUSES_MAX 32 /* top-level `and` parts shown by `why`; further ones count as one */

/* Why a result is unknown. */
enum query_reason {
    QUERY_REASON_NONE,
    QUERY_REASON_MISSING,    /* a label is not there */
    QUERY_REASON_TYPE,       /* wrong types or dimensions */
    QUERY_REASON_PARTIAL,    /* the ad is a partial one */
    QUERY_REASON_ARITHMETIC, /* x/0, overflow, NaN */
    QUERY_REASON_NOT_BOOL
};

enum query_truth { QUERY_FALSE, QUERY_TRUE, QUERY_UNKNOWN, QUERY_VALUE };

struct query_result {
    enum query_truth truth;
    enum query_reason reason; /* of UNKNOWN */
    struct slice reason_name; /* the label it was about, if any; valid as long as the query */
    struct label_value value; /* of VALUE; valid as long as ad, env and query */
};

struct query_error {
    uint32_t position;   /* byte offset in the source where it went wrong */
    const char *message; /* static text, for people */
};

/* What a name means: `extra` is searched first (lab, node.*, rtt, ad.age, vitals, job.*), then
 * the ad. `extra` sorted by name. `free_resources`: NULL, or one bool a resource of the ad that
 * overrides its label `free` (from vitals). */
struct query_env {
    const struct ad *ad;
    const struct label *extra;
    size_t n_extra;
    const bool *free_resources;
};

struct query;

/* Conditions: IPX_MALFORMED, IPX_LIMIT; *ret_error (may be NULL) says where and why. The source
 * is copied. */
IPX_MUST_USE enum ipx_err query_compile(struct slice source, struct mem *mem,
                                        struct query **ret_query, struct query_error *ret_error);
/* For needs (`--gpu '1: .mem >= 40GiB'`): fields are legal everywhere, quantifiers nowhere, and the
 * query is asked of one resource by query_eval_resource. */
IPX_MUST_USE enum ipx_err query_compile_need(struct slice source, struct mem *mem,
                                             struct query **ret_query,
                                             struct query_error *ret_error);
struct query *query_ref(struct query *q);
void query_unref(struct query *q); /* NULL allowed */
struct slice query_source(const struct query *q);
/* Canonical text: parse(print(parse(x))) is stable. */
void query_print(const struct query *q, struct writer *w);
struct query_result query_eval(const struct query *q, const struct query_env *env);
/* Only for a query of query_compile_need; `resource` is an index into the ad's resources. */
struct query_result query_eval_resource(const struct query *q, const struct query_env *env,
                                        size_t resource);
/* query_eval(..).truth == QUERY_TRUE, the rule for `where` and `accept`. */
bool query_is_true(const struct query *q, const struct query_env *env);

/* For `why`: the top-level clauses of `a and b and c`. */
size_t query_n_clauses(const struct query *q);
struct slice query_clause_source(const struct query *q, size_t clause); /* its source text */
struct query_result query_clause_eval(const struct query *q, size_t clause,
                                      const struct query_env *env);
/* Nearest miss: where a clause is (or is a quantifier over) a comparison of a label with a
 * literal number or version, the label's value on this ad and the wanted literal; for a quantifier
 * the best one among its resources. False where the clause has no such form. */
struct query_miss {
    struct slice name; /* the label, with a leading dot for fields */
    struct label_value have, want;
    struct slice op; /* as if the label stood left: `8 <= n` gives >= */
    double distance; /* |have - want| in base units; smaller is nearer */
};
bool query_clause_miss(const struct query *q, size_t clause, const struct query_env *env,
                       struct query_miss *ret);
/* "missing", "type" ..: the word shown to people and in JSON; "" for NONE. */
const char *query_reason_text(enum query_reason reason);
/* Calls `each` for every bare name the query mentions ("did you mean"). */
typedef void query_name_fn(void *user, struct slice name, bool is_field);
void query_names(const struct query *q, query_name_fn *each, void *user);

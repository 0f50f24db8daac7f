/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties over random expressions and random ads, with fixed seeds: what is known on a partial
 * ad stays so on the full one; printing keeps the meaning; bytes of ads are canonical.
 */
#include "base/query.h"
#include "base/rng.h"
#include "tests/harness.h"

#define N_PARTIAL 40000
#define N_PRINTED 20000
#define N_MUTATED 20000

static const char *const names[] = {"a", "b", "c.d", "e", "f", "g.h"};
static const char *const fields[] = {"a", "x", "y", "free"};
static const char *const kinds[] = {"gpu", "src"};
static const char *const literals[] = {
    "1",     "0",     "2.5",     "1GiB",           "3s", "25Hz", "10MB/s", "v1",   "v1.2-rc1",
    "\"p\"", "\"q\"", "[\"p\"]", "[\"p\", \"q\"]", "[]", "true", "false",  "8MiB", "\"*\""};

static const char *pick(struct rng *r, const char *const *list, size_t n)
{
    return list[rng_below(r, n)];
}
#define PICK(r, list) pick((r), (list), ARRAY_LEN(list))

struct text {
    char bytes[QUERY_SOURCE_MAX * 4];
    size_t len;
};

static void put(struct text *t, const char *s)
{
    size_t len = strlen(s);
    CHECK(t->len + len < sizeof(t->bytes));
    memcpy(t->bytes + t->len, s, len);
    t->len += len;
}

static void put_blank(struct rng *r, struct text *t)
{
    put(t, rng_chance(r, 500) ? " " : "");
}

/* --- random expressions; `depth` bounds the recursion --- */

static void put_expr(struct rng *r, struct text *t, unsigned depth, bool is_field_ok);

static void put_leaf(struct rng *r, struct text *t, bool is_field_ok)
{
    bool is_field = is_field_ok && rng_chance(r, 600);
    bool is_has = rng_chance(r, 100);
    if (!is_has && rng_chance(r, 350)) {
        put(t, PICK(r, literals));
        return;
    }
    put(t, is_has ? "has(" : "");
    put(t, is_field ? "." : "");
    put(t, is_field ? PICK(r, fields) : PICK(r, names));
    put(t, is_has ? ")" : "");
}

static void put_binary(struct rng *r, struct text *t, unsigned depth, bool is_field_ok)
{
    static const char *const ops[] = {"==",     "!=",   "<",      "<=",       ">",   ">=", "in",
                                      "not in", "like", "subset", "overlaps", "and", "or", "and",
                                      "or",     "+",    "-",      "*",        "/",   "??", "??"};
    put(t, "(");
    put_blank(r, t);
    put_expr(r, t, depth - 1, is_field_ok);
    put(t, " ");
    put(t, PICK(r, ops));
    put(t, " ");
    put_expr(r, t, depth - 1, is_field_ok);
    put(t, ")");
    put_blank(r, t);
}

static void put_quantifier(struct rng *r, struct text *t, unsigned depth)
{
    static const char *const words[] = {"any ", "all ", "count "};
    put(t, PICK(r, words));
    put(t, PICK(r, kinds));
    put_blank(r, t);
    put(t, "(");
    put_expr(r, t, depth - 1, true);
    put(t, ")");
}

static void put_expr(struct rng *r, struct text *t, unsigned depth, bool is_field_ok)
{
    static const char *const unary[] = {"not (", "(not ", "(-", "-("};
    uint64_t choice = depth == 0 ? 0 : rng_below(r, 10);
    if (choice < 2) {
        put_leaf(r, t, is_field_ok);
    } else if (choice < 7) {
        put_binary(r, t, depth, is_field_ok);
    } else if (choice == 7) {
        size_t which = rng_below(r, ARRAY_LEN(unary));
        put(t, which == 0 ? "(not (" : unary[which]);
        put_expr(r, t, depth - 1, is_field_ok);
        put(t, which == 0 ? "))" : ")");
    } else if (choice == 8 && !is_field_ok) {
        put_quantifier(r, t, depth);
    } else {
        put(t, rng_chance(r, 500) ? "min(" : "max(");
        put_expr(r, t, depth - 1, is_field_ok);
        put(t, ",");
        put_blank(r, t);
        put_expr(r, t, depth - 1, is_field_ok);
        put(t, ")");
    }
}

/* A query out of random text; NULL where two literals did not fit. */
static struct query *random_query(struct rng *r, unsigned depth, struct mem *mem)
{
    struct text t = {.len = 0};
    struct query *q = NULL;
    struct query_error error;
    put_expr(r, &t, depth, false);
    enum ipx_err err = query_compile(slice_of(t.bytes, t.len), mem, &q, &error);
    if (err == IPX_MALFORMED &&
        strcmp(error.message, "two values of different type or dimension") != 0 &&
        strcmp(error.message, "this has no negative") != 0) {
        CHECK_FAIL("%.*s: at %u: %s", (int)t.len, t.bytes, (unsigned)error.position, error.message);
    }
    CHECK(err == IPX_OK || err == IPX_MALFORMED || err == IPX_LIMIT);
    return q;
}

/* --- random ads, and the same with parts removed --- */

struct recipe { /* what an ad is made of: literals by name, -1 is none */
    int labels[ARRAY_LEN(names)];
    size_t n_resources;
    struct {
        size_t kind;
        int fields[ARRAY_LEN(fields)];
    } resources[4];
};

static int random_literal(struct rng *r)
{
    return rng_chance(r, 250) ? -1 : (int)rng_below(r, ARRAY_LEN(literals));
}

static struct recipe random_recipe(struct rng *r)
{
    struct recipe c = {.n_resources = rng_below(r, 5)};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        c.labels[i] = random_literal(r);
    }
    for (size_t i = 0; i < c.n_resources; i++) {
        c.resources[i].kind = rng_below(r, ARRAY_LEN(kinds));
        for (size_t j = 0; j < ARRAY_LEN(fields); j++) {
            c.resources[i].fields[j] = random_literal(r);
        }
    }
    return c;
}

static struct recipe thinned(struct rng *r, const struct recipe *full)
{
    struct recipe c = *full;
    c.n_resources = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        c.labels[i] = rng_chance(r, 300) ? -1 : full->labels[i];
    }
    for (size_t i = 0; i < full->n_resources; i++) {
        if (rng_chance(r, 300)) {
            continue;
        }
        c.resources[c.n_resources] = full->resources[i];
        for (size_t j = 0; j < ARRAY_LEN(fields); j++) {
            if (rng_chance(r, 250)) {
                c.resources[c.n_resources].fields[j] = -1;
            }
        }
        c.n_resources++;
    }
    return c;
}

static struct label_value literal_value(int which, struct label_scratch *scratch)
{
    struct label_value v;
    CHECK_OK(label_value_parse(slice_text(literals[which]), scratch, &v));
    return v;
}

static struct ad *cooked(const struct recipe *c, bool is_full, struct mem *mem)
{
    static struct label_scratch scratch;
    struct ad_builder *b = ad_builder_new(mem);
    struct ad *ad = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (c->labels[i] >= 0) {
            struct label_value v = literal_value(c->labels[i], &scratch);
            CHECK_OK(ad_builder_label(b, slice_text(names[i]), &v));
        }
    }
    for (size_t i = 0; i < c->n_resources; i++) {
        CHECK_OK(ad_builder_resource(b, slice_text(kinds[c->resources[i].kind])));
        for (size_t j = 0; j < ARRAY_LEN(fields); j++) {
            if (c->resources[i].fields[j] >= 0) {
                struct label_value v = literal_value(c->resources[i].fields[j], &scratch);
                CHECK_OK(ad_builder_field(b, slice_text(fields[j]), &v));
            }
        }
    }
    if (!is_full) {
        ad_builder_partial(b);
    }
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    return ad;
}

static bool is_same(const struct query_result *a, const struct query_result *b)
{
    return a->truth == b->truth &&
           (a->truth == QUERY_UNKNOWN || label_value_equal(&a->value, &b->value));
}

TEST(base_query_property, partial_never_flips)
{
    struct mem mem;
    struct rng rng;
    size_t n_known = 0, n_learnt = 0;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 1);
    for (int done = 0; done < N_PARTIAL;) {
        struct query *q = random_query(&rng, 4, &mem);
        if (q == NULL) {
            continue;
        }
        for (int i = 0; i < 8; i++, done++) {
            struct recipe full = random_recipe(&rng), part = thinned(&rng, &full);
            struct ad *a = cooked(&full, true, &mem), *b = cooked(&part, false, &mem);
            struct query_env on_full = {.ad = a}, on_part = {.ad = b};
            struct query_result x = query_eval(q, &on_full), y = query_eval(q, &on_part);
            if (y.truth != QUERY_UNKNOWN && !is_same(&x, &y)) {
                struct slice s = query_source(q);
                CHECK_FAIL("%.*s: %d on the part, %d on the whole", (int)s.len,
                           (const char *)s.data, (int)y.truth, (int)x.truth);
            }
            n_known += y.truth != QUERY_UNKNOWN ? 1 : 0;
            n_learnt += y.truth == QUERY_UNKNOWN && x.truth != QUERY_UNKNOWN ? 1 : 0;
            ad_unref(a);
            ad_unref(b);
        }
        query_unref(q);
    }
    CHECK(n_known > N_PARTIAL / 20 && n_learnt > N_PARTIAL / 100); /* the cases say something */
    CHECK_EQ(mem.used, 0);
}

static struct slice printed(const struct query *q, uint8_t *out)
{
    struct writer w = writer_of(out, QUERY_SOURCE_MAX);
    query_print(q, &w);
    CHECK(!w.failed);
    return writer_slice(&w);
}

TEST(base_query_property, print_is_stable)
{
    struct mem mem;
    struct rng rng;
    uint8_t first[QUERY_SOURCE_MAX], second[QUERY_SOURCE_MAX];
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 2);
    struct recipe c = random_recipe(&rng);
    struct ad *ad = cooked(&c, true, &mem);
    struct query_env env = {.ad = ad};
    for (int i = 0; i < N_PRINTED; i++) {
        struct query *q = random_query(&rng, 1 + (unsigned)rng_below(&rng, 6), &mem), *again = NULL;
        if (q == NULL) {
            continue;
        }
        struct slice text = printed(q, first);
        struct query_error error = {0};
        if (query_compile(text, &mem, &again, &error) != IPX_OK) {
            CHECK_FAIL("%.*s: at %u: %s", (int)text.len, (const char *)text.data,
                       (unsigned)error.position, error.message);
        }
        CHECK(slice_equal(text, printed(again, second)));
        struct query_result x = query_eval(q, &env), y = query_eval(again, &env);
        CHECK(is_same(&x, &y) && x.reason == y.reason);
        CHECK(slice_equal(x.reason_name, y.reason_name));
        CHECK_EQ(query_n_clauses(q), query_n_clauses(again));
        query_unref(q);
        query_unref(again);
    }
    ad_unref(ad);
    CHECK_EQ(mem.used, 0);
}

/* The clauses joined by Kleene's `and` give the whole; two evaluations give the same. */
TEST(base_query_property, clauses_make_the_whole)
{
    struct mem mem;
    struct rng rng;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 3);
    for (int i = 0; i < 5000; i++) {
        struct query *q = random_query(&rng, 5, &mem);
        if (q == NULL || query_n_clauses(q) == 1) {
            query_unref(q);
            continue;
        }
        struct recipe c = random_recipe(&rng);
        struct ad *ad = cooked(&c, rng_chance(&rng, 500), &mem);
        struct query_env env = {.ad = ad};
        bool has_false = false, is_all_true = true;
        for (size_t k = 0; k < query_n_clauses(q); k++) {
            enum query_truth truth = query_clause_eval(q, k, &env).truth;
            has_false = has_false || truth == QUERY_FALSE;
            is_all_true = is_all_true && truth == QUERY_TRUE;
            struct query_miss miss;
            (void)query_clause_miss(q, k, &env, &miss);
        }
        enum query_truth whole = query_eval(q, &env).truth;
        CHECK_EQ(whole, has_false ? QUERY_FALSE : is_all_true ? QUERY_TRUE : QUERY_UNKNOWN);
        CHECK_EQ(query_is_true(q, &env), whole == QUERY_TRUE);
        ad_unref(ad);
        query_unref(q);
    }
    CHECK_EQ(mem.used, 0);
}

/* Decodes; what is taken encodes to the same bytes and survives its text form. */
static bool check_bytes(struct slice in, struct mem *mem)
{
    struct ad *ad = NULL;
    uint8_t out[LABEL_AD_BYTES_MAX];
    enum ipx_err err = ad_decode(in, mem, &ad);
    if (err != IPX_OK) {
        CHECK(ad == NULL && (err == IPX_MALFORMED || err == IPX_LIMIT));
        return false;
    }
    struct writer w = writer_of(out, sizeof(out));
    ad_encode(ad, &w);
    CHECK(slice_equal(writer_slice(&w), in));

    /* built anew from its values, it is the same */
    struct ad_builder *b = ad_builder_new(mem);
    struct ad *again = NULL;
    for (size_t i = 0; i < ad->n_labels; i++) {
        CHECK_OK(ad_builder_label(b, ad->labels[i].name, &ad->labels[i].value));
        CHECK(ad_find(ad, ad->labels[i].name) == &ad->labels[i].value);
    }
    for (size_t i = 0; i < ad->n_resources; i++) {
        const struct resource *r = &ad->resources[i];
        CHECK_OK(ad_builder_resource(b, r->kind));
        for (size_t j = 0; j < r->n_labels; j++) {
            CHECK_OK(ad_builder_field(b, r->labels[j].name, &r->labels[j].value));
        }
    }
    if (!ad->is_full) {
        ad_builder_partial(b);
    }
    CHECK_OK(ad_builder_finish(b, &again));
    CHECK(slice_equal(again->encoded, in));
    ad_builder_free(b);
    ad_unref(again);
    ad_unref(ad);
    return true;
}

TEST(base_query_property, ad_bytes_are_canonical)
{
    struct mem mem;
    struct rng rng;
    size_t n_taken = 0;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 4);
    for (int i = 0; i < N_MUTATED / 40; i++) {
        struct recipe c = random_recipe(&rng);
        struct ad *ad = cooked(&c, rng_chance(&rng, 800), &mem);
        struct slice whole = ad->encoded;
        CHECK(check_bytes(whole, &mem));
        for (size_t len = 0; len < whole.len; len++) {
            CHECK(!check_bytes(slice_of(whole.data, len), &mem));
        }
        for (int k = 0; k < 40; k++) {
            uint8_t bytes[LABEL_AD_BYTES_MAX];
            memcpy(bytes, whole.data, whole.len);
            for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--) {
                bytes[rng_below(&rng, whole.len)] ^= (uint8_t)(1U << rng_below(&rng, 8));
            }
            n_taken += check_bytes(slice_of(bytes, whole.len), &mem) ? 1 : 0;
        }
        ad_unref(ad);
    }
    CHECK(n_taken > 100);
    CHECK_EQ(mem.used, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What surrounds an evaluation: environments, needs, clauses, nearest misses, names. */
#include "base/query.h"
#include "tests/harness.h"

static struct query *compiled(const char *source, struct mem *mem)
{
    struct query *q = NULL;
    struct query_error error = {0};
    if (query_compile(slice_text(source), mem, &q, &error) != IPX_OK) {
        CHECK_FAIL("%s: at %u: %s", source, (unsigned)error.position, error.message);
    }
    return q;
}

/* The ad that is asked below. */
static const char table_ad[] = "n=5\nbig=8GiB\nt=true\nf=false\ns=\"abc\"\nv=v12.4-rc1\n"
                               "+gpu mem=8GiB; free=true; id=0\n"
                               "+gpu mem=16GiB; id=1\n"
                               "+disk free=false; rate=5\n";

static void keep_ad(void *user, struct slice name, struct ad *ad)
{
    struct ad **ret = user;
    (void)name;
    CHECK(*ret == NULL);
    *ret = ad_ref(ad);
}

static struct ad *ad_of(const char *text, struct mem *mem)
{
    struct ad *ad = NULL;
    uint32_t line = 0;
    CHECK_OK(ad_text_parse(slice_text(text), mem, keep_ad, &ad, &line));
    CHECK(ad != NULL);
    return ad;
}

TEST(base_query_explain, environment)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad *ad = ad_of(table_ad, &mem);
    struct label extra[] = {{.name = slice_text("lab")}, {.name = slice_text("n")}};
    extra[0].value = (struct label_value){.type = LABEL_STRING, .text = slice_text("astro")};
    extra[1].value = (struct label_value){.type = LABEL_NUMBER, .number = 7};
    const bool is_free[] = {false, true, true};
    struct query_env env = {.ad = ad, .extra = extra, .n_extra = 2, .free_resources = is_free};
    static const char *const trues[] = {"lab == \"astro\"",
                                        "n == 7",
                                        "big == 8GiB",
                                        "any gpu (.free and .id == 1)",
                                        "not any gpu (.free and .id == 0)",
                                        "all disk (.free)",
                                        "all gpu (has(.free))"};
    for (size_t i = 0; i < ARRAY_LEN(trues); i++) {
        struct query *q = compiled(trues[i], &mem);
        CHECK(query_is_true(q, &env));
        CHECK_EQ(query_eval(q, &env).truth, QUERY_TRUE);
        query_unref(q);
    }
    struct query_env nothing = {.ad = NULL};
    struct query *q = compiled("x == 1 or any gpu (true)", &mem);
    CHECK_EQ(query_eval(q, &nothing).truth, QUERY_UNKNOWN);
    CHECK(query_ref(q) == q);
    query_unref(q);
    query_unref(q);
    ad_unref(ad);
    CHECK_EQ(mem.used, 0);
}

TEST(base_query_explain, needs)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad *ad = ad_of(table_ad, &mem);
    const bool is_free[] = {false, true, true};
    struct query_env env = {.ad = ad};
    struct query *q = NULL;
    struct query_error error;
    CHECK_OK(query_compile_need(slice_text(".mem >= 16GiB or .free"), &mem, &q, NULL));
    CHECK_EQ(query_eval_resource(q, &env, 0).truth, QUERY_TRUE);
    CHECK_EQ(query_eval_resource(q, &env, 1).truth, QUERY_TRUE);
    CHECK_EQ(query_eval_resource(q, &env, 2).truth, QUERY_UNKNOWN);
    env.free_resources = is_free;
    CHECK_EQ(query_eval_resource(q, &env, 0).truth, QUERY_FALSE);
    CHECK_EQ(query_eval_resource(q, &env, 2).truth, QUERY_TRUE);
    query_unref(q);
    CHECK_EQ(query_compile_need(slice_text(".a and any gpu (.b)"), &mem, &q, &error),
             IPX_MALFORMED);
    CHECK_EQ(error.position, 7);
    ad_unref(ad);
    CHECK_EQ(mem.used, 0);
}

static void check_slice(struct slice s, const char *wanted)
{
    char text[1200];
    CHECK(slice_to_text(s, text, sizeof(text)));
    CHECK_STR(text, wanted);
}

TEST(base_query_explain, clauses)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad *ad = ad_of(table_ad, &mem);
    struct query_env env = {.ad = ad};
    struct query *q =
        compiled(" (n > 6 and gone) and (t or f) and not (s == \"x\") and (1 < n)", &mem);
    static const struct {
        const char *source;
        enum query_truth truth;
    } wanted[] = {{"n > 6", QUERY_FALSE},
                  {"gone", QUERY_UNKNOWN},
                  {"(t or f)", QUERY_TRUE},
                  {"not (s == \"x\")", QUERY_TRUE},
                  {"(1 < n)", QUERY_TRUE}};
    CHECK_EQ(query_n_clauses(q), ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        check_slice(query_clause_source(q, i), wanted[i].source);
        CHECK_EQ(query_clause_eval(q, i, &env).truth, wanted[i].truth);
    }
    query_unref(q);

    /* 40 clauses: the last of the 32 stands for nine */
    char source[512];
    struct writer w = writer_of(source, sizeof(source) - 1);
    writer_bytes(&w, slice_text("n == 5"));
    for (int i = 1; i < 40; i++) {
        writer_bytes(&w, slice_text(i == 38 ? " and f" : " and t"));
    }
    source[w.len] = 0;
    q = compiled(source, &mem);
    CHECK_EQ(query_n_clauses(q), QUERY_CLAUSES_MAX);
    CHECK_EQ(query_clause_eval(q, 30, &env).truth, QUERY_TRUE);
    CHECK_EQ(query_clause_eval(q, 31, &env).truth, QUERY_FALSE);
    check_slice(query_clause_source(q, 31), "t and t and t and t and t and t and t and f and t");
    query_unref(q);
    ad_unref(ad);
    CHECK_EQ(mem.used, 0);
}

TEST(base_query_explain, misses)
{
    static const struct {
        const char *source, *name, *op;
        double distance;
    } cases[] = {
        {"n >= 8", "n", ">=", 3},
        {"8 <= n", "n", ">=", 3},
        {"v >= v13", "v", ">=", 0.996},
        {"any gpu (.mem >= 20GiB)", ".mem", ">=", 4.0 * 1024 * 1024 * 1024},
        {"any gpu (.id == 0 and .mem >= 20GiB)", ".mem", ">=", 12.0 * 1024 * 1024 * 1024},
        {"any gpu (.mem >= 1GiB and .free)", ".mem", ">=", 7.0 * 1024 * 1024 * 1024},
        {"gone >= 8", NULL, NULL, 0},
        {"s == \"x\"", NULL, NULL, 0},
        {"n + 1 >= 8", NULL, NULL, 0},
        {"n >= 8GiB", NULL, NULL, 0},
        {"n >= 8 or t", NULL, NULL, 0},
        {"any fpga (.mem >= 20GiB)", NULL, NULL, 0},
    };
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad *ad = ad_of(table_ad, &mem);
    struct query_env env = {.ad = ad};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct query *q = compiled(cases[i].source, &mem);
        struct query_miss miss;
        bool is_found = query_clause_miss(q, 0, &env, &miss);
        CHECK_EQ(is_found, cases[i].name != NULL);
        if (is_found) {
            double off = miss.distance - cases[i].distance;
            check_slice(miss.name, cases[i].name);
            check_slice(miss.op, cases[i].op);
            CHECK(off < 1e-9 && off > -1e-9);
        }
        query_unref(q);
    }
    ad_unref(ad);
    CHECK_EQ(mem.used, 0);
}

static void join_name(void *user, struct slice name, bool is_field)
{
    writer_bytes(user, slice_text(is_field ? " ." : " "));
    writer_bytes(user, name);
}

TEST(base_query_explain, names)
{
    static const char source[] = "lab == astro and any gpu (.mem > n and has(.cc)) or has(x.y)";
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct query *q = compiled(source, &mem);
    uint8_t text[128];
    struct writer w = writer_of(text, sizeof(text));
    query_names(q, join_name, &w);
    check_slice(writer_slice(&w), " lab astro .mem n .cc x.y");
    check_slice(query_source(q), source);
    query_unref(q);
    CHECK_EQ(mem.used, 0);
}

TEST(base_query_explain, no_memory)
{
    struct mem mem;
    for (uint64_t after = 0; after < 3; after++) {
        struct query *q = NULL;
        mem_init(&mem, SIZE_MAX);
        mem.fail_after = after;
        enum ipx_err err = query_compile(slice_text("a in [\"b\"]"), &mem, &q, NULL);
        CHECK_EQ(err, after < 2 ? IPX_NO_MEMORY : IPX_OK);
        CHECK((q == NULL) == (after < 2));
        query_unref(q);
        CHECK_EQ(mem.used, 0);
    }
}

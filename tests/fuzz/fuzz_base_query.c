/* SPDX-License-Identifier: Apache-2.0 */
/* Source text: what compiles prints to a source that compiles to the same, and evaluates. */
#include <stdlib.h>

#include "base/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char ad_text[] =
    "a=5\nb=0.5\nbig=8GiB\nc=true\ns=\"astro/sky0\"\nv=v12.4-rc1\nset=[\"a\", \"b\"]\nrate=10MB/s\n"
    "+gpu a=1; mem=8GiB; free=true\n+gpu a=2; mem=16GiB\n+src topic=\"astro/sky0\"; rate=25Hz\n";

static void keep(void *user, struct slice name, struct ad *ad)
{
    (void)name;
    *(struct ad **)user = ad_ref(ad);
}

static void need(bool is_true)
{
    if (!is_true) {
        abort();
    }
}

static void take_name(void *user, struct slice name, bool is_field)
{
    (void)user;
    (void)is_field;
    need(name.len > 0 && label_name_is_valid(name));
}

static bool is_same(const struct query_result *a, const struct query_result *b)
{
    return a->truth == b->truth && a->reason == b->reason &&
           slice_equal(a->reason_name, b->reason_name) &&
           (a->truth == QUERY_UNKNOWN || label_value_equal(&a->value, &b->value));
}

static void compare(const struct query *q, const struct query *again, const struct ad *ad)
{
    struct query_env env = {.ad = ad};
    struct query_result x = query_eval(q, &env), y = query_eval(again, &env);
    need(is_same(&x, &y) && query_is_true(q, &env) == (x.truth == QUERY_TRUE));
    need(query_n_clauses(q) == query_n_clauses(again));
    for (size_t i = 0; i < query_n_clauses(q); i++) {
        struct query_miss miss;
        x = query_clause_eval(q, i, &env);
        y = query_clause_eval(again, i, &env);
        need(is_same(&x, &y) && query_clause_source(q, i).len > 0);
        need(query_clause_miss(q, i, &env, &miss) == query_clause_miss(again, i, &env, &miss));
    }
    query_names(q, take_name, NULL);
}

static void check_query(const struct query *q, const struct ad *ad, struct mem *mem)
{
    uint8_t first[QUERY_SOURCE_MAX], second[QUERY_SOURCE_MAX];
    struct writer w = writer_of(first, sizeof(first)), v = writer_of(second, sizeof(second));
    struct query *again = NULL;
    query_print(q, &w);
    need(!w.failed && query_compile(writer_slice(&w), mem, &again, NULL) == IPX_OK);
    query_print(again, &v);
    need(!v.failed && slice_equal(writer_slice(&w), writer_slice(&v)));
    compare(q, again, ad);
    query_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct ad *ad = NULL;
    struct query *q = NULL;
    struct query_error error = {0};
    uint32_t line = 0;
    mem_init(&mem, SIZE_MAX);
    need(ad_text_parse(slice_text(ad_text), &mem, keep, &ad, &line) == IPX_OK && ad != NULL);
    if (query_compile(slice_of(data, size), &mem, &q, &error) == IPX_OK) {
        check_query(q, ad, &mem);
    } else {
        need(error.message != NULL && error.position <= size);
    }
    query_unref(q);
    q = NULL;
    if (query_compile_need(slice_of(data, size), &mem, &q, NULL) == IPX_OK) {
        struct query_env env = {.ad = ad};
        for (size_t i = 0; i < ad->n_resources; i++) {
            (void)query_eval_resource(q, &env, i);
        }
    }
    query_unref(q);
    ad_unref(ad);
    need(mem.used == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What expressions mean: the worked examples and the tables of the operators. */
#include "base/match_text.h"
#include "tests/harness.h"
#include "tests/unit/three_ads.h"

struct rows {
    size_t n;
    struct query_result results[8];
    char lines[8][128];
};

static void keep_row(void *user, const struct match_row *row)
{
    struct rows *rows = user;
    CHECK(rows->n < 8);
    char *line = rows->lines[rows->n];
    struct writer w = writer_of(line, 127);
    match_row_print(row, &w);
    CHECK(!w.failed);
    line[w.len] = 0;
    rows->results[rows->n++] = row->result;
}

static struct query *compiled(const char *source, struct mem *mem)
{
    struct query *q = NULL;
    struct query_error error = {0};
    if (query_compile(slice_text(source), mem, &q, &error) != IPX_OK) {
        CHECK_FAIL("%s: at %u: %s", source, (unsigned)error.position, error.message);
    }
    return q;
}

static struct rows matched(const char *source, const char *ads, struct mem *mem)
{
    struct rows rows = {.n = 0};
    struct query *q = compiled(source, mem);
    uint32_t line = 0;
    CHECK_OK(match_text_run(q, slice_text(ads), mem, keep_row, &rows, &line));
    query_unref(q);
    return rows;
}

/* One letter an ad: t, f, u, v (a value). */
static void check_letters(const char *source, const char *ads, const char *wanted, struct mem *mem)
{
    struct rows rows = matched(source, ads, mem);
    char got[9] = {0};
    for (size_t i = 0; i < rows.n; i++) {
        got[i] = "ftuv"[rows.results[i].truth];
    }
    if (strcmp(got, wanted) != 0) {
        CHECK_FAIL("%s: %s, wanted %s (%s)", source, got, wanted, rows.lines[0]);
    }
}

TEST(base_query, worked_examples)
{
    static const struct {
        const char *source, *wanted;
    } cases[] = {
        {"cpu.cores >= 16", "ftf"},
        {"mem.free >= 8GiB and disk.free >= 100GB", "ttf"},
        {"lab in [\"astro\", \"phys\"]", "ttf"},
        {"site.power != \"solar\"", "utu"},
        {"(site.power ?? \"grid\") != \"solar\"", "ttt"},
        {"not has(battery) or battery > 0.5", "ttt"},
        {"cuda >= v12 and cuda < v13", "utu"},
        {"os.name == \"linux\" and os.version >= v12", "ttu"},
        {"[\"avx2\", \"fma\"] subset cpu.flags", "ttu"},
        {"any gpu (.mem >= 40GiB and .cc >= v8.0 and .free)", "ftf"},
        {"count gpu (.mem >= 40GB) >= 2", "ftf"},
        {"any source (.kind == \"camera\" and .rate >= 10Hz and .live)", "tff"},
        {"any source (.topic like \"astro/*\" and .replay >= 1h)", "tff"},
        {"\"python3.11\" in tools and any sandbox (.name == \"ns\")", "ftf"},
        {"any source (.schema == \"frame/u16\" and .rate * .size < net.down)", "fff"},
        {"rtt < 20ms and ad.age < 30s", "ttf"},
        {"mem.free >= 1.2 * job.mem and (job.lab == lab or load < 0.5)", "tff"},
        {"10 * (lab == \"phys\") + cpu.cores / (1 + load)", "vvu"},
        {"mem.free / 1GiB - 100 * (rtt / 1s)", "vvv"},
        {"job.in / net.down", "vvv"},
        {"cpu.cores >= 4GiB", "uuu"},
    };
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_letters(cases[i].source, three_ads, cases[i].wanted, &mem);
    }
    CHECK_EQ(mem.used, 0);
}

static bool is_near(double a, double b)
{
    return a - b < 0.05 && b - a < 0.05;
}

TEST(base_query, worked_values_and_reasons)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct rows r = matched("10 * (lab == \"phys\") + cpu.cores / (1 + load)", three_ads, &mem);
    CHECK(is_near(r.results[0].value.number, 6.1) && is_near(r.results[1].value.number, 47.2));
    CHECK_STR(r.lines[2], "laptop unknown (missing: load)");
    r = matched("mem.free / 1GiB - 100 * (rtt / 1s)", three_ads, &mem);
    CHECK(is_near(r.results[0].value.number, 19.6) && is_near(r.results[1].value.number, 298.2));
    CHECK(is_near(r.results[2].value.number, -1.2));
    r = matched("job.in / net.down", three_ads, &mem);
    CHECK(is_near(r.results[0].value.number, 17.0) && r.results[0].value.dim.seconds == 1);
    CHECK_STR(r.lines[1], "gpu 1.6s");
    CHECK_STR(r.lines[2], "laptop 200s");
    r = matched("cpu.cores >= 4GiB", three_ads, &mem);
    CHECK_STR(r.lines[0], "scope unknown (type: cpu.cores)");
    r = matched("site.power != \"solar\"", three_ads, &mem);
    CHECK_STR(r.lines[0], "scope unknown (missing: site.power)");
    CHECK_STR(r.lines[1], "gpu true");
    CHECK_EQ(mem.used, 0);
}

/* An ad for the tables below. */
static const char table_ad[] =
    "n=5\nzero=0\nhalf=0.5\nbig=8GiB\nrate=10MB/s\nt=true\nf=false\n"
    "s=\"abc\"\nlong=\"astro/sky0/raw\"\nv=v12.4-rc1\nset=[\"a\", \"b\"]\n"
    "none=[]\nwait=90s\n"
    "+gpu mem=8GiB; free=true; id=0\n"
    "+gpu mem=16GiB; id=1\n"
    "+disk free=false; rate=5\n";

static const struct {
    const char *source, *wanted;
} operator_cases[] = {
    /* comparisons by type */
    {"n == 5", "t"},
    {"n != 5", "f"},
    {"n < 5", "f"},
    {"n <= 5", "t"},
    {"n > 4.9", "t"},
    {"big == 8192MiB", "t"},
    {"big > 8", "u"},
    {"big == 8s", "u"},
    {"rate == 80Mbit/s", "t"},
    {"wait == 1.5min", "t"},
    {"t == true", "t"},
    {"t != f", "t"},
    {"t < f", "u"},
    {"t == 1", "u"},
    {"s == \"abc\"", "t"},
    {"s == \"ABC\"", "f"},
    {"s < \"b\"", "u"},
    {"set == [\"b\", \"a\"]", "t"},
    {"set != [\"b\"]", "t"},
    {"set < [\"b\"]", "u"},
    {"s == n", "u"},
    {"v == v12.4", "f"},
    {"v < v12.4", "t"},
    {"v > v12.4-beta", "t"},
    {"v >= v12.4.0.0-rc1", "t"},
    {"v12 == v12.0.0.0", "t"},
    {"v > v9.99", "t"},
    /* strings and sets */
    {"s in [\"abc\"]", "t"},
    {"s not in [\"abc\"]", "f"},
    {"\"z\" in set", "f"},
    {"\"z\" not in set", "t"},
    {"n in set", "u"},
    {"s in s", "u"},
    {"s not in gone", "u"},
    {"none subset set", "t"},
    {"set subset none", "f"},
    {"set subset set", "t"},
    {"set overlaps [\"b\", \"c\"]", "t"},
    {"set overlaps none", "f"},
    {"s subset set", "u"},
    {"s like \"abc\"", "t"},
    {"s like \"ab\"", "f"},
    {"s like \"*\"", "t"},
    {"s like \"**\"", "t"},
    {"s like \"a*c\"", "t"},
    {"s like \"*b*\"", "t"},
    {"s like \"*c*b*\"", "f"},
    {"s like \"\"", "f"},
    {"\"\" like \"\"", "t"},
    {"\"\" like \"*\"", "t"},
    {"s like \"abc*\"", "t"},
    {"s like \"*abc\"", "t"},
    {"s like \"abcd*\"", "f"},
    {"s like \"abc*abc\"", "f"},
    {"s like \"a?c\"", "f"},
    {"long like \"astro/*/raw\"", "t"},
    {"long like \"*sky*sky*\"", "f"},
    {"n like \"*\"", "u"},
    /* three values */
    {"gone", "u"},
    {"not gone", "u"},
    {"gone and true", "u"},
    {"gone and false", "f"},
    {"false and gone", "f"},
    {"gone or true", "t"},
    {"true or gone", "t"},
    {"gone or false", "u"},
    {"gone == gone", "u"},
    {"gone != 1", "u"},
    {"n and true", "u"},
    {"n and false", "f"},
    {"not s", "u"},
    {"\"x\" or true", "t"},
    {"not not t", "t"},
    {"has(gone)", "f"},
    {"has(n)", "t"},
    {"not has(gone) and has(s)", "t"},
    {"gone ?? 3 == 3", "t"},
    {"gone ?? lost ?? 3 == 3", "t"},
    {"n ?? 3 == 5", "t"},
    {"(s < \"b\") ?? true", "t"},
    {"(gone ?? lost) == 3", "u"},
    /* arithmetic */
    {"n + 1 == 6", "t"},
    {"2 + 3 * 2 == 8", "t"},
    {"(2 + 3) * 2 == 10", "t"},
    {"10 - 3 - 2 == 5", "t"},
    {"8 / 4 / 2 == 1", "t"},
    {"-n == -5", "t"},
    {"- -n == n", "t"},
    {"-n * 2 == -10", "t"},
    {"2 - -3 == 5", "t"},
    {"t + t == 2", "t"},
    {"-t == -1", "t"},
    {"n / zero", "u"},
    {"zero / zero", "u"},
    {"zero * -1 == 0", "t"},
    {"s + 1", "u"},
    {"big + 1", "u"},
    {"big / rate > 800s", "t"},
    {"big / 1GiB == 8", "t"},
    {"1 / 10Hz == 100ms", "t"},
    {"rate * wait == 900MB", "t"},
    {"rate / rate == 1", "t"},
    {"min(n, 3) == 3", "t"},
    {"max(n, 3) == n", "t"},
    {"min(n, big)", "u"},
    {"min(gone, 1)", "u"},
    {"max(big, 1GB) / 1GiB == 8", "t"},
    {"min(v, v)", "u"},
    {"min(1 + 1, max(3, n)) == 2", "t"},
    {"-s", "u"},
    /* quantifiers */
    {"any gpu (.mem >= 16GiB)", "t"},
    {"all gpu (.mem >= 8GiB)", "t"},
    {"all gpu (.mem >= 16GiB)", "f"},
    {"count gpu (.mem > 1B) == 2", "t"},
    {"any gpu (.free)", "t"},
    {"all gpu (.free)", "u"},
    {"count gpu (.free) == 1", "u"},
    {"any fpga (.free)", "f"},
    {"all fpga (.free)", "t"},
    {"count fpga (.free) == 0", "t"},
    {"any gpu (.gone)", "u"},
    {"any gpu (.mem)", "u"},
    {"any gpu (.id == n - 4)", "t"},
    {"any gpu (has(.free) and .free)", "t"},
    {"count gpu (has(.free)) == 1", "t"},
    {"any gpu (.free ?? false)", "t"},
    {"all gpu (.free ?? false)", "f"},
    {"any gpu (true) and any disk (not .free)", "t"},
    {"1 + count gpu (true) == 3", "t"},
    {"not any gpu (.id == 7) and n == 5", "t"},
    {"false and any gpu (true) or t", "t"},
    {"any gpu (.id == 0 and false or .id == 1)", "t"},
    {"count gpu (true) > 1 or gone", "t"},
    /* how strongly operators bind */
    {"true or true and false", "t"},
    {"not n == 4", "t"},
    {"not false and false", "f"},
    {"gone ?? 1 + 1 == 2", "t"},
    {"n == gone ?? 5", "t"},
    {"f == (n == 4)", "t"},
};

TEST(base_query, operators)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(operator_cases); i++) {
        check_letters(operator_cases[i].source, table_ad, operator_cases[i].wanted, &mem);
    }
    CHECK_EQ(mem.used, 0);
}

TEST(base_query, reasons)
{
    static const struct {
        const char *source, *line;
    } cases[] = {
        {"gone == 1", "#1 unknown (missing: gone)"},
        {"any gpu (.gone > 1)", "#1 unknown (missing: .gone)"},
        {"1 == gone.x and s == 2", "#1 unknown (missing: gone.x)"},
        {"s > 1", "#1 unknown (type: s)"},
        {"n / zero > 1", "#1 unknown (arithmetic: zero)"},
        {"n and true", "#1 unknown (not a bool: n)"},
        {"n + 1 and true", "#1 unknown (not a bool)"},
        {"any gpu (.mem)", "#1 unknown (not a bool: .mem)"},
        {"big", "#1 8GiB"},
        {"s", "#1 \"abc\""},
        {"v", "#1 v12.4-rc1"},
        {"set", "#1 [\"a\", \"b\"]"},
        {"n > 4", "#1 true"},
        {"big * big", "#1 73786976294838210000 * 1B * 1B"},
        {"1 / wait / wait * 8100", "#1 1 / 1s / 1s"},
    };
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rows rows = matched(cases[i].source, table_ad, &mem);
        CHECK_STR(rows.lines[0], cases[i].line);
    }
    CHECK_EQ(mem.used, 0);
}

TEST(base_query, partial_ads)
{
    static const char ad[] = "!partial\nn=5\ns=\"x\"\n+gpu mem=8GiB\n";
    static const struct {
        const char *source, *wanted;
    } cases[] = {
        {"n == 5", "t"},
        {"n == 6", "f"},
        {"gone == 1", "u"},
        {"has(gone)", "u"},
        {"has(n)", "t"},
        {"gone ?? 1 == 1", "u"},
        {"n ?? 1 == 5", "t"},
        {"(s < 3) ?? true", "t"},
        {"any gpu (.mem >= 8GiB)", "t"},
        {"any gpu (.mem > 8GiB)", "u"},
        {"any fpga (true)", "u"},
        {"all gpu (.mem > 8GiB)", "f"},
        {"all gpu (.mem >= 8GiB)", "u"},
        {"all fpga (true)", "u"},
        {"count gpu (true) >= 0", "u"},
        {"any gpu (has(.cc))", "u"},
        {"any gpu (has(.mem))", "t"},
        {"gone and n == 6", "f"},
        {"gone or n == 5", "t"},
        {"((s and true) and gone) ?? true", "u"},
        {"(any gpu (s < 1)) ?? true", "u"},
    };
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_letters(cases[i].source, ad, cases[i].wanted, &mem);
    }
    struct rows rows = matched("any fpga (true)", ad, &mem);
    CHECK_STR(rows.lines[0], "#1 unknown (partial: fpga)");
    CHECK_EQ(mem.used, 0);
}

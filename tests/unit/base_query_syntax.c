/* SPDX-License-Identifier: Apache-2.0 */
/* What is an expression and what is none: positions, limits, and the printed form. */
#include "base/query.h"
#include "tests/harness.h"

static struct query *compiled(struct slice source, struct mem *mem)
{
    struct query *q = NULL;
    struct query_error error = {0};
    if (query_compile(source, mem, &q, &error) != IPX_OK) {
        CHECK_FAIL("%.*s: at %u: %s", (int)source.len, (const char *)source.data,
                   (unsigned)error.position, error.message);
    }
    return q;
}

static void check_refused(struct slice source, enum ipx_err wanted, uint32_t position)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct query *q = NULL;
    struct query_error error = {.position = UINT32_MAX};
    enum ipx_err err = query_compile(source, &mem, &q, &error);
    if (err != wanted || error.position != position) {
        CHECK_FAIL("%.*s: %s at %u, wanted %s at %u", (int)source.len, (const char *)source.data,
                   err_name(err), (unsigned)error.position, err_name(wanted), (unsigned)position);
    }
    CHECK(q == NULL && error.message != NULL && error.message[0] != 0);
    CHECK_EQ(mem.used, 0);
}

static const struct {
    const char *source;
    uint32_t position;
} refused_cases[] = {
    /* operands */
    {"", 0},
    {"  ", 2},
    {"a and", 5},
    {"a ==", 4},
    {"and a", 0},
    {"a and and b", 6},
    {"in", 0},
    {"a in in", 5},
    {"A == 1", 0},
    {"a == Bio", 5},
    {"'a'", 0},
    {"a == 'b'", 5},
    {"!a", 0},
    {"a == !b", 5},
    {"_a", 0},
    {"a == _b", 5},
    {"a == \xc3\xa5", 5},
    {"@", 0},
    {"not", 3},
    {"-", 1},
    {"a == not b", 5},
    {"-not a", 1},
    {"1 + not a", 4},
    {"a ?? not b", 5},
    /* operators */
    {"a b", 2},
    {"a = b", 2},
    {"a && b", 2},
    {"a || b", 2},
    {"a === b", 4},
    {"a ! b", 2},
    {"a not b", 2},
    {"a not", 2},
    {"a < b < c", 6},
    {"a == b == c", 7},
    {"a in b in c", 7},
    {"a < b not in c", 6},
    {"true false", 5},
    {"a ? b", 2},
    {"a <> b", 3},
    {"a % b", 2},
    {"a.b .c", 4},
    {"a. b", 1},
    {"a.", 1},
    {"a..b", 1},
    {"a.1", 1},
    {"aB", 1},
    {"a\"b\"", 1},
    /* brackets */
    {"(a", 2},
    {"a)", 1},
    {"(a))", 3},
    {"()", 1},
    {"(a, b)", 2},
    {"a, b", 1},
    {"((a)", 4},
    {"min(1)", 5},
    {"min(1, 2, 3)", 8},
    {"min 1", 4},
    {"max(,1)", 4},
    {"max(1,)", 6},
    {"has", 3},
    {"has a", 4},
    {"has()", 4},
    {"has(1)", 4},
    {"has(a", 5},
    {"has(a b)", 6},
    {"has(true)", 4},
    {"has((a))", 4},
    /* fields and quantifiers */
    {".mem > 3", 0},
    {"a and .b", 6},
    {"has(.a)", 4},
    {"has(v8)", 4},
    {"any gpu (.v8 >= 1)", 10},
    {"any gpu (has(.v1.2))", 14},
    {"any gpu (.a) and .b", 17},
    {"any (.a)", 4},
    {"any gpu", 7},
    {"any gpu .a", 8},
    {"any gpu ()", 9},
    {"any gpu (.)", 10},
    {"any gpu (. a)", 10},
    {"any gpu (any gpu (.a))", 9},
    {"all gpu (1 + count x (.a))", 13},
    {"any any (.a)", 4},
    {"any g.p (.a)", 5},
    {"any 1 (.a)", 4},
    {"any gpu (.a", 11},
    {"any gpu (.true)", 10},
    {"count", 5},
    /* numbers */
    {"4GB2", 3},
    {"4gb", 1},
    {"10mins", 5},
    {"1.", 1},
    {"1.5.2", 3},
    {"1e5", 1},
    {"1_000", 1},
    {"10MB/sx", 6},
    {"10kbit", 2},
    {"0x10", 1},
    {"1..2", 1},
    {"5m", 1},
    {"10MiBs", 5},
    {"10MB/size", 6},
    {"10 MB", 3},
    /* versions */
    {"v1.", 2},
    {"v1.2x", 4},
    {"v1-rc.", 5},
    /* strings and sets */
    {"\"abc", 0},
    {"a == \"abc", 5},
    {"\"a\\", 2},
    {"\"a\\n\"", 2},
    {"\"a\nb\"", 0},
    {"\"\xff\"", 0},
    {"\"\xc0\x80\"", 0},
    {"\"\xed\xa0\x80\"", 0},
    {"\"\x7f\"", 0},
    {"a in [", 6},
    {"a in [\"b\"", 9},
    {"a in [\"b\",]", 10},
    {"a in [b]", 6},
    {"a in [1]", 6},
    {"a in [\"b\" \"c\"]", 10},
    {"a in [,]", 6},
    {"[", 1},
    {"]", 0},
    /* two literals of different type or dimension */
    {"1 == \"a\"", 2},
    {"1GiB < 1s", 5},
    {"1 < v1", 2},
    {"true == 1", 5},
    {"\"a\" < \"b\"", 4},
    {"1 in [\"a\"]", 2},
    {"\"a\" in \"b\"", 4},
    {"1 like \"a\"", 2},
    {"\"a\" subset [\"a\"]", 4},
    {"[\"a\"] overlaps \"a\"", 6},
    {"x or 1GiB + 1 > 2", 10},
    {"\"a\" * 2", 4},
    {"-\"a\"", 0},
    {"-v1", 0},
    {"min(1, 1s)", 0},
    {"max(\"a\", \"b\")", 0},
    {"(1) == (\"a\")", 4},
    {"-1 == \"a\"", 3},
    {"[\"a\"] < [\"b\"]", 6},
    {"1 not in [\"a\"]", 2},
};

TEST(base_query_syntax, refused)
{
    for (size_t i = 0; i < ARRAY_LEN(refused_cases); i++) {
        check_refused(slice_text(refused_cases[i].source), IPX_MALFORMED,
                      refused_cases[i].position);
    }
    check_refused(slice_of("a\0b", 3), IPX_MALFORMED, 1);
    check_refused(slice_of("\0", 1), IPX_MALFORMED, 0);
    check_refused(slice_of("\"a\0\"", 4), IPX_MALFORMED, 0);
    check_refused(SLICE_EMPTY, IPX_MALFORMED, 0);
}

/* `head`, then `piece` n times with `between`, then `tail`. */
static struct slice repeated(char *out, const char *head, const char *piece, const char *between,
                             int n, const char *tail)
{
    char *at = stpcpy(out, head);
    for (int i = 0; i < n; i++) {
        at = stpcpy(at, i > 0 ? between : "");
        at = stpcpy(at, piece);
    }
    at = stpcpy(at, tail);
    return slice_of(out, (size_t)(at - out));
}

static void check_taken(struct slice source)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    query_unref(compiled(source, &mem));
    CHECK_EQ(mem.used, 0);
}

TEST(base_query_syntax, limits)
{
    char out[4096], brackets[64];
    /* depth */
    repeated(brackets, "", ")", "", 32, "");
    check_taken(repeated(out, "", "(", "", 32, "a))))))))))))))))))))))))))))))))"));
    check_refused(repeated(out, "", "(", "", 33, "a"), IPX_LIMIT, 32);
    check_refused(repeated(out, "", "(", "", 40, "a"), IPX_LIMIT, 32);
    check_taken(repeated(out, "", "not ", "", 32, "a"));
    check_refused(repeated(out, "", "not ", "", 33, "a"), IPX_LIMIT, 128);
    check_taken(repeated(out, "", "-", "", 32, "a"));
    check_refused(repeated(out, "", "-", "", 33, "a"), IPX_LIMIT, 32);
    check_refused(repeated(out, "", "min(1,", "", 33, "a"), IPX_LIMIT, 192);
    check_taken(repeated(out, "", "a", " and ", 100, "")); /* a chain is not nested */
    /* nodes: n names and n - 1 operators */
    check_taken(repeated(out, "", "a", "+", 128, ""));
    check_taken(repeated(out, "-", "a", "+", 128, ""));
    check_refused(repeated(out, "", "a", "+", 129, ""), IPX_LIMIT, 255);
    check_refused(repeated(out, "", "a", "+", 300, ""), IPX_LIMIT, 255);
    check_refused(repeated(out, "", "1", "+", 129, ""), IPX_LIMIT, 255);
    /* strings, sets, names */
    check_taken(repeated(out, "\"", "x", "", 256, "\""));
    check_refused(repeated(out, "\"", "x", "", 257, "\""), IPX_LIMIT, 0);
    check_taken(repeated(out, "a in [", "\"x\"", ",", 64, "]"));
    check_refused(repeated(out, "a in [", "\"x\"", ",", 65, "]"), IPX_LIMIT, 262);
    check_taken(repeated(out, "", "n", "", 48, ""));
    check_refused(repeated(out, "", "n", "", 49, ""), IPX_LIMIT, 0);
    check_refused(slice_text("v1.2.3.4.5"), IPX_LIMIT, 8);
    check_refused(slice_text("v1.4294967296"), IPX_LIMIT, 3);
    check_taken(repeated(out, "v1-", "t", "", 24, ""));
    check_refused(repeated(out, "v1-", "t", "", 25, ""), IPX_LIMIT, 3);
    /* source and numbers */
    check_taken(repeated(out, "a", " ", "", 1023, ""));
    check_refused(repeated(out, "a", " ", "", 1024, ""), IPX_LIMIT, 1024);
    check_taken(repeated(out, "", "9", "", 308, ""));
    check_refused(repeated(out, "a < ", "9", "", 310, ""), IPX_MALFORMED, 4);
    check_taken(repeated(out, "0.", "0", "", 800, "1"));
}

static void check_printed(const char *source, const char *wanted)
{
    struct mem mem;
    char text[QUERY_SOURCE_MAX + 1];
    mem_init(&mem, SIZE_MAX);
    struct query *q = compiled(slice_text(source), &mem);
    struct writer w = writer_of(text, QUERY_SOURCE_MAX);
    query_print(q, &w);
    CHECK(!w.failed);
    text[w.len] = 0;
    CHECK_STR(text, wanted);
    query_unref(q);
    CHECK_EQ(mem.used, 0);
}

TEST(base_query_syntax, printed)
{
    static const struct {
        const char *source, *wanted;
    } cases[] = {
        {"a", "a"},
        {"((a))", "a"},
        {"a+b*c", "a + b * c"},
        {"(a+b)*c", "(a + b) * c"},
        {"a-(b-c)", "a - (b - c)"},
        {"(a-b)-c", "a - b - c"},
        {"a/(b*c)", "a / (b * c)"},
        {"a and(b and c)", "a and (b and c)"},
        {"(a or b)and c", "(a or b) and c"},
        {"not(a==b)", "not a == b"},
        {"(not a)==b", "(not a) == b"},
        {"not(a and b)", "not (a and b)"},
        {"(a<b)==(c<d)", "(a < b) == (c < d)"},
        {"a??b??c", "a ?? b ?? c"},
        {"a?? (b??c)", "a ?? (b ?? c)"},
        {"(a??b)+1", "(a ?? b) + 1"},
        {"a ?? (b+1)", "a ?? b + 1"},
        {"-a", "-a"},
        {"-(a+b)", "-(a + b)"},
        {"--a", "--a"},
        {"- 5", "-5"},
        {"-(5)", "-5"},
        {"--5", "5"},
        {"-0", "0"},
        {"a--5", "a - -5"},
        {"-true", "-true"},
        {"10MB / s", "10MB / s"},
        {"10MB/s", "10MB/s"},
        {"1024KiB", "1MiB"},
        {"8000Mbit/s", "1GB/s"},
        {"90s", "90s"},
        {"600s", "10min"},
        {"0.004s", "4ms"},
        {"1.50", "1.5"},
        {"007", "7"},
        {"168h", "7d"},
        {"0.1Hz", "0.1Hz"},
        {"0B", "0B"},
        {"1000000", "1000000"},
        {"a in[\"b\",\"a\",\"b\"]", "a in [\"a\", \"b\"]"},
        {"a not  in []", "a not in []"},
        {"any gpu(.a>=v1.20)", "any gpu (.a >= v1.20)"},
        {"any x(has( .a )and not .b)", "any x (has(.a) and not .b)"},
        {"min( a,max(b ,1 ) )", "min(a, max(b, 1))"},
        {"v12 -x", "v12 - x"},
        {"v1-a - x", "v1-a - x"},
        {"\"a\\\"\\\\b\"", "\"a\\\"\\\\b\""},
        {"v4l == v1.v2", "v4l == v1.v2"},
        {"cpu.count + and.x", "cpu.count + and.x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_printed(cases[i].source, cases[i].wanted);
    }
}

/* Near the limit of a source the printed form leaves out what is not needed, and still means the
 * same. */
TEST(base_query_syntax, printed_compact)
{
    static const char *const pieces[] = {
        "aaaaaaaaaaaaaaaa+10MB /sssssssssss",   "not(aaaaaaaaaaaaaaaaaaaaaaaaaaaa==b)",
        "60s<aaaaaaaaaaaaaaaaaaaa-v1 -x",       "min(aaaaaaaaaaaaaaaaaa.aaaaaa,-5)<b",
        "\"aaaaaaaaaaaaaaaa\"in[\"b\",\"cc\"]", "aaaaaaaaaaaaaaa in[\"abcde\",\"f\"]"};
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        char out[QUERY_SOURCE_MAX + 64];
        int n = (int)(1010 / (strlen(pieces[i]) + 4));
        uint8_t first[QUERY_SOURCE_MAX], second[QUERY_SOURCE_MAX];
        size_t len = repeated(out, "(", pieces[i], ")or(", n, ")").len;
        memset(out + len, ' ', sizeof(out) - len);
        memcpy(out + QUERY_SOURCE_MAX - 4, "or x", 4);
        struct query *q = compiled(slice_of(out, QUERY_SOURCE_MAX), &mem);
        struct writer w = writer_of(first, sizeof(first)), v = writer_of(second, sizeof(second));
        query_print(q, &w);
        CHECK(!w.failed && w.len > QUERY_SOURCE_MAX - 300);
        struct query *again = compiled(writer_slice(&w), &mem);
        query_print(again, &v);
        CHECK(!v.failed && slice_equal(writer_slice(&w), writer_slice(&v)));
        query_unref(q);
        query_unref(again);
    }
    CHECK_EQ(mem.used, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Names, values as text, ads as text. */
#include "base/label.h"
#include "base/rng.h"
#include "tests/harness.h"
#include "tests/unit/three_ads.h"

TEST(base_label, names)
{
    static const struct {
        const char *name;
        bool is_valid, is_reserved, is_evaluator;
    } cases[] = {
        {"a", true, false, false},           {"site.power", true, false, false},
        {"a1_b.c2", true, false, false},     {"v4l", true, false, false},
        {"cpu.count", true, true, false},    {"not.x", true, false, false},
        {"lab", true, true, true},           {"node.name", true, true, true},
        {"node.key", true, true, true},      {"node.caps", true, true, true},
        {"node.version", true, true, false}, {"node.until", true, true, false},
        {"job.cpu", true, true, true},       {"rtt", true, true, true},
        {"ad.age", true, true, true},        {"os.name", true, true, false},
        {"mem.free", true, true, false},     {"load", true, true, false},
        {"tools", true, true, false},        {"cuda", true, true, false},
        {"cudax", true, false, false},       {"oslo.x", true, false, false},
        {"", false, false, false},           {"A", false, false, false},
        {"1a", false, false, false},         {"a.", false, false, false},
        {".a", false, false, false},         {"a..b", false, false, false},
        {"a.1", false, false, false},        {"a-b", false, false, false},
        {"a b", false, false, false},        {"true", false, false, false},
        {"count", false, false, false},      {"overlaps", false, false, false},
        {"v4", false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice name = slice_text(cases[i].name);
        if (label_name_is_valid(name) != cases[i].is_valid ||
            (cases[i].is_valid && label_name_is_reserved(name) != cases[i].is_reserved) ||
            (cases[i].is_valid && label_name_is_evaluator(name) != cases[i].is_evaluator)) {
            CHECK_FAIL("%s", cases[i].name);
        }
    }
    char n[50];
    memset(n, 'n', sizeof(n));
    CHECK(label_name_is_valid(slice_of(n, LABEL_NAME_MAX)));
    CHECK(!label_name_is_valid(slice_of(n, LABEL_NAME_MAX + 1)));
}

/* Reads, prints, reads again. */
static struct label_value check_value(const char *text, const char *printed, uint8_t type)
{
    static struct label_scratch first, second;
    struct label_value v, again;
    uint8_t out[1024];
    struct writer w = writer_of(out, sizeof(out) - 1);
    CHECK_OK(label_value_parse(slice_text(text), &first, &v));
    label_value_print(&v, &w);
    CHECK(!w.failed);
    out[w.len] = 0;
    CHECK_STR((const char *)out, printed);
    CHECK_EQ(v.type, type);
    CHECK_OK(label_value_parse(writer_slice(&w), &second, &again));
    CHECK(label_value_equal(&v, &again));
    CHECK_EQ(v.dim.bytes, again.dim.bytes);
    CHECK_EQ(v.version_parts, again.version_parts);
    return v;
}

static const struct {
    const char *text, *printed;
    enum label_type type;
} value_cases[] = {
    {"1", "1", LABEL_NUMBER},
    {"-5", "-5", LABEL_NUMBER},
    {"0.1", "0.1", LABEL_NUMBER},
    {"-0", "0", LABEL_NUMBER},
    {"8MiB", "8MiB", LABEL_NUMBER},
    {"25Hz", "25Hz", LABEL_NUMBER},
    {"940Mbit/s", "940Mbit/s", LABEL_NUMBER},
    {"10min", "10min", LABEL_NUMBER},
    {"7d", "7d", LABEL_NUMBER},
    {"141GB", "141GB", LABEL_NUMBER},
    {"20GiB", "20GiB", LABEL_NUMBER},
    {"-1.5h", "-90min", LABEL_NUMBER},
    {"1000ns", "1us", LABEL_NUMBER},
    {"2.5GHz", "2.5GHz", LABEL_NUMBER},
    {"3.141592653589793", "3.141592653589793", LABEL_NUMBER},
    {"0.30000000000000004", "0.30000000000000004", LABEL_NUMBER},
    {"123456789.123B", "123456789.123B", LABEL_NUMBER},
    {"8PiB", "8PiB", LABEL_NUMBER},
    {"9007199254740991B", "9007199254740991B", LABEL_NUMBER},
    {"v1", "v1", LABEL_VERSION},
    {"v12.4-rc1", "v12.4-rc1", LABEL_VERSION},
    {"v6.1.0-18-amd64", "v6.1.0-18-amd64", LABEL_VERSION},
    {"v01.2", "v1.2", LABEL_VERSION},
    {"true", "true", LABEL_BOOL},
    {"false", "false", LABEL_BOOL},
    {"[\"b\", \"a\",\"b\"]", "[\"a\", \"b\"]", LABEL_SET},
    {"[]", "[]", LABEL_SET},
    {"bio", "\"bio\"", LABEL_STRING},
    {"\"bio\"", "\"bio\"", LABEL_STRING},
    {"\"1\"", "\"1\"", LABEL_STRING},
    {"\"true\"", "\"true\"", LABEL_STRING},
    {"a b; c", "\"a b; c\"", LABEL_STRING},
    {"", "\"\"", LABEL_STRING},
    {"4GB2", "\"4GB2\"", LABEL_STRING},
    {"5 GB", "\"5 GB\"", LABEL_STRING},
    {"True", "\"True\"", LABEL_STRING},
    {"1.2.3", "\"1.2.3\"", LABEL_STRING},
    {"v1.2.3x", "\"v1.2.3x\"", LABEL_STRING},
    {"-", "\"-\"", LABEL_STRING},
    {"-v1", "\"-v1\"", LABEL_STRING},
    {"[a]", "\"[a]\"", LABEL_STRING},
    {"\"a", "\"\\\"a\"", LABEL_STRING},
    {"a\\b", "\"a\\\\b\"", LABEL_STRING},
    {"\xc3\xa5ngstr\xc3\xb6m", "\"\xc3\xa5ngstr\xc3\xb6m\"", LABEL_STRING},
};

TEST(base_label, values)
{
    for (size_t i = 0; i < ARRAY_LEN(value_cases); i++) {
        (void)check_value(value_cases[i].text, value_cases[i].printed,
                          (uint8_t)value_cases[i].type);
    }
    struct label_value v = check_value("100Gbit/s", "100Gbit/s", LABEL_NUMBER);
    CHECK(v.number == 12.5e9 && v.dim.bytes == 1 && v.dim.seconds == -1);
    v = check_value("1.1GB", "1.1GB", LABEL_NUMBER);
    CHECK(v.number == 1100000000.0);
    v = check_value("3us", "3us", LABEL_NUMBER);
    CHECK(v.number == 3e-6 && v.dim.bytes == 0 && v.dim.seconds == 1);
}

TEST(base_label, values_refused)
{
    struct label_scratch scratch;
    struct label_value v;
    char text[2000];
    CHECK_EQ(label_value_parse(slice_text("a\tb"), &scratch, &v), IPX_MALFORMED);
    CHECK_EQ(label_value_parse(slice_text("\x1b[31m"), &scratch, &v), IPX_MALFORMED);
    CHECK_EQ(label_value_parse(slice_text("\xff"), &scratch, &v), IPX_MALFORMED);
    CHECK_EQ(label_value_parse(slice_text("\"a\nb\""), &scratch, &v), IPX_MALFORMED);
    memset(text, 'x', sizeof(text));
    CHECK_OK(label_value_parse(slice_of(text, 256), &scratch, &v));
    CHECK_EQ(label_value_parse(slice_of(text, 257), &scratch, &v), IPX_LIMIT);
    memset(text, '9', sizeof(text));
    CHECK_EQ(label_value_parse(slice_of(text, 1500), &scratch, &v), IPX_LIMIT);
    char *at = stpcpy(text, "[\"a\"");
    for (int i = 0; i < 64; i++) {
        at = stpcpy(at, ",\"a\"");
    }
    *at = ']';
    at[1] = '\0';
    CHECK_EQ(label_value_parse(slice_text(text), &scratch, &v), IPX_LIMIT);
}

/* Any double, in any dimension, reads back as itself. */
TEST(base_label, numbers_round_trip)
{
    struct rng rng;
    static struct label_scratch scratch;
    static const struct label_dim dims[] = {{0, 0}, {1, 0}, {0, 1}, {0, -1}, {1, -1}};
    rng_init_int(&rng, 7);
    for (int i = 0; i < 4000; i++) {
        struct label_value v = {.type = LABEL_NUMBER}, again;
        uint64_t bits = rng_u64(&rng);
        v.dim = dims[rng_below(&rng, ARRAY_LEN(dims))];
        switch (rng_below(&rng, 3)) {
        case 0:
            memcpy(&v.number, &bits, sizeof(bits));
            break;
        case 1:
            v.number = (double)(bits >> 11) / (double)(1 + rng_below(&rng, 1000));
            break;
        default:
            v.number = (double)rng_below(&rng, 100000) / 1000;
            break;
        }
        if (!__builtin_isfinite(v.number) || v.number == 0) {
            continue;
        }
        uint8_t out[1024];
        struct writer w = writer_of(out, sizeof(out));
        label_value_print(&v, &w);
        CHECK(!w.failed);
        CHECK_OK(label_value_parse(writer_slice(&w), &scratch, &again));
        CHECK(label_value_equal(&v, &again));
    }
}

/* --- ads as text --- */

struct kept {
    size_t n;
    struct ad *ads[8];
    char names[8][32];
};

static void keep(void *user, struct slice name, struct ad *ad)
{
    struct kept *k = user;
    CHECK(k->n < 8 && slice_to_text(name, k->names[k->n], 32));
    k->ads[k->n++] = ad_ref(ad);
}

static void release(struct kept *k)
{
    for (size_t i = 0; i < k->n; i++) {
        ad_unref(k->ads[i]);
    }
    k->n = 0;
}

static struct kept parsed(const char *text, struct mem *mem)
{
    struct kept k = {.n = 0};
    uint32_t line = 0;
    if (ad_text_parse(slice_text(text), mem, keep, &k, &line) != IPX_OK) {
        CHECK_FAIL("line %u of %s", (unsigned)line, text);
    }
    return k;
}

TEST(base_label, ad_text)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct kept k = parsed(three_ads, &mem);
    CHECK_EQ(k.n, 3);
    CHECK_STR(k.names[0], "scope");
    CHECK_STR(k.names[2], "laptop");
    const struct label_value *v = ad_find(k.ads[0], slice_text("net.down"));
    CHECK(v != NULL && v->type == LABEL_NUMBER && v->number == 117.5e6);
    CHECK(ad_find(k.ads[0], slice_text("net")) == NULL);
    CHECK_EQ(k.ads[0]->n_resources, 2);
    v = resource_find(&k.ads[0]->resources[1], slice_text("replay"));
    CHECK(v != NULL && v->number == 7 * 86400);
    CHECK(k.ads[0]->is_full);
    for (size_t i = 0; i < k.n; i++) { /* the printed form is the same ad */
        char text[8192];
        struct writer w = writer_of(text, sizeof(text) - 1);
        ad_text_print(k.ads[i], &w);
        CHECK(!w.failed);
        text[w.len] = 0;
        struct kept again = parsed(text, &mem);
        CHECK_EQ(again.n, 1);
        CHECK(slice_equal(again.ads[0]->encoded, k.ads[i]->encoded));
        release(&again);
    }
    release(&k);
    CHECK_EQ(mem.used, 0);
}

TEST(base_label, ad_text_forms)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct kept k = parsed("\r\n# one\r\n  a = 1 \r\n# a remark\nb=x;y\n+gpu\n"
                           "+src  k=\"a;b=c\\\";\" ;n=2;\n---\n---\n\n!partial\nz=\n---",
                           &mem);
    CHECK_EQ(k.n, 2);
    CHECK_STR(k.names[0], "one");
    CHECK_STR(k.names[1], "");
    CHECK(slice_equal(ad_find(k.ads[0], slice_text("b"))->text, slice_text("x;y")));
    CHECK_EQ(k.ads[0]->resources[0].n_labels, 0);
    CHECK_EQ(k.ads[0]->resources[1].n_labels, 2);
    const struct label_value *v = resource_find(&k.ads[0]->resources[1], slice_text("k"));
    CHECK(slice_equal(v->text, slice_text("a;b=c\";")));
    CHECK(!k.ads[1]->is_full && ad_find(k.ads[1], slice_text("z"))->text.len == 0);
    release(&k);
    k = parsed("", &mem);
    CHECK_EQ(k.n, 0);
    static const struct {
        const char *text;
        uint32_t line;
    } bad[] = {
        {"a=1\nb\n", 2},           {"a=1\na=2\n", 2}, {"A=1", 1},      {"\n\n=1", 3},
        {"+gpu a=1; a=2", 1},      {"+gpu a", 1},     {"+GPU a=1", 1}, {"+", 1},
        {"a=1\n---\n+not a=1", 3}, {"true=1", 1},     {"a=\x01", 1},   {"+gpu true=1", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint32_t line = 0;
        CHECK_EQ(ad_text_parse(slice_text(bad[i].text), &mem, keep, &k, &line), IPX_MALFORMED);
        CHECK_EQ(line, bad[i].line);
        release(&k);
    }
    CHECK_EQ(mem.used, 0);
}

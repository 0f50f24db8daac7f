/* SPDX-License-Identifier: Apache-2.0 */
/* Ads built from parts, and ads as bytes. */
#include "base/label.h"
#include "tests/harness.h"

static void keep(void *user, struct slice name, struct ad *ad)
{
    (void)name;
    *(struct ad **)user = ad_ref(ad);
}

/* --- building --- */

static struct label_value number(double x)
{
    return (struct label_value){.type = LABEL_NUMBER, .number = x};
}

TEST(base_label_ad, builder_refuses)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad_builder *b = ad_builder_new(&mem);
    struct label_value v = number(1);
    CHECK_OK(ad_builder_label(b, slice_text("a"), &v));
    CHECK_EQ(ad_builder_label(b, slice_text("a"), &v), IPX_EXISTS);
    CHECK_EQ(ad_builder_label(b, slice_text("A"), &v), IPX_MALFORMED);
    const double bad[] = {__builtin_nan(""), __builtin_inf(), -__builtin_inf(), -0.0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        v = number(bad[i]);
        CHECK_EQ(ad_builder_label(b, slice_text("x"), &v), IPX_MALFORMED);
    }
    v = number(1);
    v.dim = (struct label_dim){2, 0};
    CHECK_EQ(ad_builder_label(b, slice_text("x"), &v), IPX_MALFORMED);
    v = (struct label_value){.type = LABEL_STRING, .text = slice_of("a\n", 2)};
    CHECK_EQ(ad_builder_label(b, slice_text("x"), &v), IPX_MALFORMED);
    v = (struct label_value){.type = 99};
    CHECK_EQ(ad_builder_label(b, slice_text("x"), &v), IPX_MALFORMED);
    v = (struct label_value){.type = LABEL_VERSION};
    CHECK_EQ(ad_builder_label(b, slice_text("x"), &v), IPX_MALFORMED);
    CHECK_EQ(ad_builder_resource(b, slice_text("any")), IPX_MALFORMED);
    CHECK_EQ(ad_builder_resource(b, slice_text("a.b")), IPX_MALFORMED);
    const struct slice strings[] = {slice_text("b"), slice_text("a"), slice_text("b")};
    v = (struct label_value){.type = LABEL_SET, .set = strings, .n_set = 3};
    CHECK_OK(ad_builder_label(b, slice_text("set"), &v));
    struct ad *ad = NULL;
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    const struct label_value *set = ad_find(ad, slice_text("set"));
    CHECK(set->n_set == 2 && slice_equal(set->set[0], slice_text("a")));
    CHECK(ad_ref(ad) == ad);
    ad_unref(ad);
    ad_unref(ad);
    ad_unref(NULL);
    CHECK_EQ(mem.used, 0);
}

static enum ipx_err add_many(struct ad_builder *b, char letter, unsigned n, bool is_field,
                             const struct label_value *v)
{
    enum ipx_err err = IPX_OK;
    for (unsigned i = 0; i < n && err == IPX_OK; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "%c%u", letter, i);
        struct slice s = slice_of(name, (size_t)len);
        err = is_field ? ad_builder_field(b, s, v) : ad_builder_label(b, s, v);
    }
    return err;
}

TEST(base_label_ad, builder_limits)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad_builder *b = ad_builder_new(&mem);
    struct label_value v = number(1);
    CHECK_OK(add_many(b, 'a', LABEL_AD_LABELS_MAX, false, &v));
    CHECK_EQ(add_many(b, 'b', 1, false, &v), IPX_LIMIT);
    for (int i = 0; i < LABEL_AD_RESOURCES_MAX; i++) {
        CHECK_OK(ad_builder_resource(b, slice_text("r")));
        CHECK_OK(add_many(b, 'f', LABEL_RES_LABELS_MAX, true, &v));
        CHECK_EQ(add_many(b, 'g', 1, true, &v), IPX_LIMIT);
    }
    CHECK_EQ(ad_builder_resource(b, slice_text("r")), IPX_LIMIT);
    struct ad *ad = NULL;
    CHECK_OK(ad_builder_finish(b, &ad));
    CHECK_EQ(ad->n_labels, LABEL_AD_LABELS_MAX);
    CHECK_EQ(ad->n_resources, LABEL_AD_RESOURCES_MAX);
    ad_unref(ad);
    ad_builder_free(b);

    char text[256];
    memset(text, 'x', sizeof(text));
    b = ad_builder_new(&mem);
    v = (struct label_value){.type = LABEL_STRING, .text = slice_of(text, 250)};
    CHECK_OK(add_many(b, 'a', 15, false, &v)); /* 15 * (3 + 250 + 2) and a little */
    v.text.len = 240;
    CHECK_OK(add_many(b, 'b', 1, false, &v));
    v.text.len = 20; /* the parts still fit, their heads do not */
    CHECK_OK(add_many(b, 'c', 1, false, &v));
    CHECK_EQ(ad_builder_finish(b, &ad), IPX_LIMIT);
    ad_builder_free(b);
    CHECK_EQ(mem.used, 0);
}

/* --- ads as bytes --- */

TEST(base_label_ad, ad_bytes)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad *ad = NULL;
    uint32_t line = 0;
    CHECK_OK(ad_text_parse(
        slice_text("a=1\nb=-2\nc=0.5\nd=8GiB\ne=25Hz\nf=v12.4-rc1\ng=x\nh=[\"p\",\"q\"]\n"
                   "i=true\n+r k=[]\n"),
        &mem, keep, &ad, &line));
    static const uint8_t wanted[] = {
        0x83, 0xf5, 0x92 + 0, 0x61, 'a',  0x01, 0x61, 'b',  0x21, 0x61, 'c',  0xfb,
        0x3f, 0xe0, 0,        0,    0,    0,    0,    0,    0x61, 'd',  0x83, 0x1b,
        0,    0,    0,        2,    0,    0,    0,    0,    0x01, 0x00, 0x61, 'e',
        0x83, 0x18, 25,       0x00, 0x20, 0x61, 'f',  0x82, 0x82, 0x0c, 0x04, 0x63,
        'r',  'c',  '1',      0x61, 'g',  0x61, 'x',  0x61, 'h',  0x82, 0x61, 'p',
        0x61, 'q',  0x61,     'i',  0xf5, 0x81, 0x83, 0x61, 'r',  0x61, 'k',  0x80};
    uint8_t out[256];
    struct writer w = writer_of(out, sizeof(out));
    ad_encode(ad, &w);
    CHECK_EQ(w.len, sizeof(wanted));
    CHECK_MEM(out, wanted, sizeof(wanted));
    ad_unref(ad);
    CHECK_EQ(mem.used, 0);
}

static const struct {
    const char *bytes;
    size_t len;
} bad_ads[] = {
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    BYTES(""),
    BYTES("\x83\xf5\x80"),         /* no resources */
    BYTES("\x82\xf5\x80\x80"),     /* trailing */
    BYTES("\x84\xf5\x80\x80\x80"), /* four parts */
    BYTES("\x83\x01\x80\x80"),     /* full is no bool */
    BYTES("\x83\xf5\x81\x61"
          "a\x80"), /* name without value */
    BYTES("\x83\xf5\x84\x61"
          "a\x01\x61"
          "a\x01\x80"), /* twice */
    BYTES("\x83\xf5\x84\x61"
          "b\x01\x61"
          "a\x01\x80"), /* not sorted */
    BYTES("\x83\xf5\x82\x61"
          "A\x01\x80"), /* no name */
    BYTES("\x83\xf5\x82\x63"
          "lab\x61x\x80"), /* evaluator's */
    BYTES("\x83\xf5\x82\x65"
          "job.x\x61x\x80"), /* evaluator's */
    BYTES("\x83\xf5\x82\x61"
          "a\xf6\x80"), /* null */
    BYTES("\x83\xf5\x82\x61"
          "a\x18\x01\x80"), /* not shortest */
    BYTES("\x83\xf5\x82\x61"
          "a\xfb\x3f\xf0\0\0\0\0\0\0\x80"), /* 1 as a double */
    BYTES("\x83\xf5\x82\x61"
          "a\xfb\x80\0\0\0\0\0\0\0\x80"), /* -0 */
    BYTES("\x83\xf5\x82\x61"
          "a\xfb\x7f\xf8\0\0\0\0\0\0\x80"), /* NaN */
    BYTES("\x83\xf5\x82\x61"
          "a\xfb\x7f\xf0\0\0\0\0\0\0\x80"), /* infinity */
    BYTES("\x83\xf5\x82\x61"
          "a\x1b\0\x20\0\0\0\0\0\x01\x80"), /* 2^53 + 1 */
    BYTES("\x83\xf5\x82\x61"
          "a\x83\x01\0\0\x80"), /* dimension of none */
    BYTES("\x83\xf5\x82\x61"
          "a\x83\x01\x02\0\x80"), /* bytes^2 */
    BYTES("\x83\xf5\x82\x61"
          "a\x83\x01\x01\x01\x80"), /* byte seconds */
    BYTES("\x83\xf5\x82\x61"
          "a\x82\x01\x01\x80"), /* half a dimension */
    BYTES("\x83\xf5\x82\x61"
          "a\x81\x80\x80"), /* version without parts */
    BYTES("\x83\xf5\x82\x61"
          "a\x81\x85\1\1\1\1\1\x80"), /* five parts */
    BYTES("\x83\xf5\x82\x61"
          "a\x82\x81\x01\x60\x80"), /* empty tag */
    BYTES("\x83\xf5\x82\x61"
          "a\x82\x81\x01\x61-\x80"), /* no tag */
    BYTES("\x83\xf5\x82\x61"
          "a\x82\x61"
          "b\x61"
          "a\x80"), /* set not sorted */
    BYTES("\x83\xf5\x82\x61"
          "a\x82\x61"
          "a\x61"
          "a\x80"), /* set twice */
    BYTES("\x83\xf5\x82\x61"
          "a\x82\x61"
          "a\x01\x80"), /* set with a number */
    BYTES("\x83\xf5\x82\x61"
          "a\x61\n\x80"), /* control character */
    BYTES("\x83\xf5\x82\x61"
          "a\x61\xff\x80"),        /* not UTF-8 */
    BYTES("\x83\xf5\x80\x81\x80"), /* resource without kind */
    BYTES("\x83\xf5\x80\x81\x81\x61"
          "A"), /* kind */
    BYTES("\x83\xf5\x80\x81\x82\x61r\x61"
          "a"),                    /* field without value */
    BYTES("\x9f\xf5\x80\x80\xff"), /* indefinite */
#undef BYTES
};

TEST(base_label_ad, ad_bytes_refused)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct ad *ad = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad_ads); i++) {
        if (ad_decode(slice_of(bad_ads[i].bytes, bad_ads[i].len), &mem, &ad) != IPX_MALFORMED) {
            CHECK_FAIL("case %zu", i);
        }
    }
    CHECK_OK(ad_decode(slice_of("\x83\xf5\x80\x80", 4), &mem, &ad));
    ad_unref(ad);
    static uint8_t large[LABEL_AD_BYTES_MAX + 1];
    CHECK_EQ(ad_decode(slice_of(large, sizeof(large)), &mem, &ad), IPX_LIMIT);
    mem.fail_after = 0;
    CHECK_EQ(ad_decode(slice_of("\x83\xf5\x80\x80", 4), &mem, &ad), IPX_NO_MEMORY);
    CHECK_EQ(mem.used, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor.h"
#include "base/id.h"
#include "tests/harness.h"

#define BYTES_MAX 128

/* Tables give items as hex. */
static struct slice unhex(const char *hex, uint8_t out[static BYTES_MAX])
{
    size_t len = 0;
    CHECK_OK(hex_decode(slice_text(hex), out, BYTES_MAX, &len));
    return slice_of(out, len);
}

static bool is_skipped(struct slice in)
{
    struct cbor_reader r = cbor_reader_of(in);
    cbor_skip(&r);
    return cbor_done(&r);
}

/* RFC 8949 appendix A, every vector, in its order; in the profile or refused. */
static const struct vector {
    const char *hex;
    bool is_good;
} vectors[] = {
    {"00", true},
    {"01", true},
    {"0a", true},
    {"17", true},
    {"1818", true},
    {"1819", true},
    {"1864", true},
    {"1903e8", true},
    {"1a000f4240", true},
    {"1b000000e8d4a51000", true},
    {"1bffffffffffffffff", true},
    {"c249010000000000000000", false}, /* bignum: a tag */
    {"3bffffffffffffffff", true},
    {"c349010000000000000000", false},
    {"20", true},
    {"29", true},
    {"3863", true},
    {"3903e7", true},
    {"f90000", false}, /* half floats */
    {"f98000", false},
    {"f93c00", false},
    {"fb3ff199999999999a", true},
    {"f93e00", false},
    {"f97bff", false},
    {"fa47c35000", false}, /* single floats */
    {"fa7f7fffff", false},
    {"fb7e37e43c8800759c", true},
    {"f90001", false},
    {"f90400", false},
    {"f9c400", false},
    {"fbc010666666666666", true},
    {"f97c00", false},
    {"f97e00", false},
    {"f9fc00", false},
    {"fa7f800000", false},
    {"fa7fc00000", false},
    {"faff800000", false},
    {"fb7ff0000000000000", false}, /* infinity */
    {"fb7ff8000000000000", false}, /* NaN */
    {"fbfff0000000000000", false}, /* -infinity */
    {"f4", true},
    {"f5", true},
    {"f6", true},
    {"f7", false},   /* undefined */
    {"f0", false},   /* simple values */
    {"f8ff", false}, /* simple values */
    {"c074323031332d30332d32315432303a30343a30305a", false},
    {"c11a514b67b0", false},
    {"c1fb41d452d9e8200000", false},
    {"d74401020304", false},
    {"d818456449455446", false},
    {"d82076687474703a2f2f7777772e6578616d706c652e636f6d", false},
    {"40", true},
    {"4401020304", true},
    {"60", true},
    {"6161", true},
    {"6449455446", true},
    {"62225c", true},
    {"62c3bc", true},
    {"63e6b0b4", true},
    {"64f0908591", true},
    {"80", true},
    {"83010203", true},
    {"8301820203820405", true},
    {"98190102030405060708090a0b0c0d0e0f101112131415161718181819", true},
    {"a0", true},
    {"a201020304", true},
    {"a26161016162820203", true},
    {"826161a161626163", true},
    {"a56161614161626142616361436164614461656145", true},
    {"5f42010243030405ff", false}, /* indefinite lengths */
    {"7f657374726561646d696e67ff", false},
    {"9fff", false},
    {"9f018202039f0405ffff", false},
    {"9f01820203820405ff", false},
    {"83018202039f0405ff", false},
    {"83019f0203ff820405", false},
    {"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", false},
    {"bf61610161629f0203ffff", false},
    {"826161bf61626163ff", false},
    {"bf6346756ef563416d7421ff", false},
};

TEST(base_cbor, rfc_8949_appendix_a)
{
    uint8_t bytes[BYTES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct slice in = unhex(vectors[i].hex, bytes);
        CHECK_EQ(is_skipped(in), vectors[i].is_good);
        struct cbor_reader r = cbor_reader_of(in);
        struct slice raw = cbor_raw(&r);
        CHECK_EQ(raw.len, vectors[i].is_good ? in.len : 0);
        for (size_t len = 0; len < in.len; len++) { /* cut anywhere: never an item */
            CHECK(!is_skipped(slice_of(bytes, len)));
        }
        bytes[in.len] = 0; /* and nothing may follow */
        CHECK(!is_skipped(slice_of(bytes, in.len + 1)));
    }
}

/* Items with blanks between them, each refused. */
static const char *const refused[] = {
    /* not shortest: integers, lengths, counts */
    "1817 1800 190018 1900ff 1a0000ffff 1b00000000ffffffff 3817 3900ff 3a0000ffff",
    "3b00000000ffffffff 580100 78016100 980100 b8010000 5900ff 9a00000001f6 9900018000",
    "bb00000000000000010000",
    /* huge lengths and counts */
    "5bffffffffffffffff 5b7fffffffffffffff00 7bffffffffffffffff 9bffffffffffffffff",
    "9b000000010000000000 9affffffff00 990100 bbffffffffffffffff bb800000000000000000",
    "baffffffff0000 b90100",
    /* more announced than there is */
    "8200 a100 a2000000 9818f6 82 a1 41 61 19 fb",
    /* -0 and NaNs */
    "fb8000000000000000 fb7ff0000000000001 fbfff8000000000000",
    /* keys twice, unsorted as encoded (so the shorter text first), or of other types */
    "a200000000 a201000000 a2200000f6 a26162006161f6 a2616100616100 a262616100616200",
    "a2410000400000 a2004000f6 a16161 a18000 a1a000 a1f500 a1f600 a1fb3ff000000000000000",
    /* text that is not UTF-8 */
    "61ff 62c328 63eda080 64f4908080 62c080",
    /* heads that mean nothing, or nothing here */
    "1c 1d 1e 1f 3c 3f 5c 5f 7c 7f 9c bc dc ff f3 e0 f818 f8f4 f815 fc fd fe c000 d9d9f700 df00",
    /* nine levels */
    "818181818181818181 8181818181818181a0 a100a100a100a100a100a100a100a10080",
};

TEST(base_cbor, refusals)
{
    uint8_t bytes[BYTES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        for (const char *p = refused[i]; *p != '\0';) {
            char item[2 * BYTES_MAX + 1] = {0};
            size_t len = strcspn(p, " ");
            memcpy(item, p, len);
            if (is_skipped(unhex(item, bytes))) {
                CHECK_STR(item, "refused");
            }
            p += len + strspn(p + len, " ");
        }
    }
    CHECK(!is_skipped(SLICE_EMPTY));
    CHECK(is_skipped(unhex("8181818181818180", bytes))); /* eight levels */
    CHECK(is_skipped(unhex("a100a100a100a100a100a100a100a0", bytes)));
}

TEST(base_cbor, integers)
{
    static const struct {
        uint64_t value;
        size_t len;
    } sizes[] = {{0, 1},      {23, 1},         {24, 2},         {255, 2},       {256, 3},
                 {65535, 3},  {65536, 5},      {UINT32_MAX, 5}, {INT64_MAX, 9}, {UINT64_MAX, 9},
                 {100000, 5}, {1ULL << 32, 9}, {1ULL << 63, 9}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t bytes[16];
        uint64_t v = sizes[i].value;
        struct writer w = writer_of(bytes, sizeof(bytes));
        cbor_put_u64(&w, v);
        CHECK_EQ(w.len, sizes[i].len);
        struct cbor_reader r = cbor_reader_of(writer_slice(&w));
        CHECK(cbor_u64(&r) == v);
        CHECK(cbor_done(&r));
        r = cbor_reader_of(writer_slice(&w));
        CHECK(cbor_uint_max(&r, v) == v && cbor_done(&r));
        if (v > 0) {
            r = cbor_reader_of(writer_slice(&w));
            CHECK(cbor_uint_max(&r, v - 1) == 0 && r.failed);
        }
        r = cbor_reader_of(writer_slice(&w));
        CHECK(cbor_i64(&r) == (v <= INT64_MAX ? (int64_t)v : 0));
        CHECK_EQ(r.failed, v > INT64_MAX);
        if (v <= INT64_MAX) { /* the same with the other sign: -1 - v */
            w = writer_of(bytes, sizeof(bytes));
            cbor_put_i64(&w, -1 - (int64_t)v);
            CHECK_EQ(w.len, sizes[i].len);
            r = cbor_reader_of(writer_slice(&w));
            CHECK_EQ(cbor_peek(&r), CBOR_NINT);
            CHECK_EQ(cbor_i64(&r), -1 - (int64_t)v);
            CHECK(cbor_done(&r));
            r = cbor_reader_of(writer_slice(&w));
            CHECK(cbor_u64(&r) == 0 && r.failed);
        }
        w = writer_of(bytes, sizes[i].len - 1);
        cbor_put_u64(&w, v);
        CHECK(w.failed);
    }
    uint8_t below[] = {0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0}; /* -2^63 - 1 */
    struct cbor_reader r = cbor_reader_of(slice_of(below, sizeof(below)));
    CHECK(cbor_i64(&r) == 0 && r.failed);
}

TEST(base_cbor, doubles)
{
    static const struct {
        double value;
        const char *hex;
    } cases[] = {{0, "fb0000000000000000"},     {-0.0, "fb0000000000000000"},
                 {1, "fb3ff0000000000000"},     {1.1, "fb3ff199999999999a"},
                 {-4.1, "fbc010666666666666"},  {1.0e+300, "fb7e37e43c8800759c"},
                 {5e-324, "fb0000000000000001"}};
    uint8_t bytes[16], want[BYTES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct writer w = writer_of(bytes, sizeof(bytes));
        cbor_put_double(&w, cases[i].value);
        CHECK(slice_equal(writer_slice(&w), unhex(cases[i].hex, want)));
        struct cbor_reader r = cbor_reader_of(writer_slice(&w));
        double v = cbor_double(&r);
        CHECK(cbor_done(&r) && v >= cases[i].value && v <= cases[i].value);
    }
    const double not_finite[] = {__builtin_inf(), -__builtin_inf(), __builtin_nan("")};
    for (size_t i = 0; i < ARRAY_LEN(not_finite); i++) {
        struct writer w = writer_of(bytes, sizeof(bytes));
        cbor_put_double(&w, not_finite[i]);
        CHECK(w.failed && w.len == 0);
    }
}

TEST(base_cbor, strings_and_simple)
{
    uint8_t bytes[64], key[4];
    char text[5];
    struct writer w = writer_of(bytes, sizeof(bytes));
    cbor_put_bytes(&w, slice_of("\1\2\3\4", 4));
    cbor_put_text(&w, slice_text("ab"));
    cbor_put_text(&w, slice_text("wxyz"));
    cbor_put_bool(&w, true);
    cbor_put_bool(&w, false);
    cbor_put_null(&w);
    cbor_put_raw(&w, slice_of("\x81\x05", 2));
    struct slice all = writer_slice(&w);
    struct cbor_reader r = cbor_reader_of(all);
    cbor_bytes_fixed(&r, key, sizeof(key));
    CHECK_MEM(key, "\1\2\3\4", 4);
    CHECK(slice_equal(cbor_text(&r, 2), slice_text("ab")));
    cbor_text_copy(&r, text, sizeof(text));
    CHECK_STR(text, "wxyz");
    CHECK(cbor_bool(&r));
    CHECK(!cbor_bool(&r));
    CHECK_EQ(cbor_peek(&r), CBOR_NULL);
    cbor_null(&r);
    CHECK_EQ(cbor_array_begin(&r, 1), 1);
    CHECK_EQ(cbor_u64(&r), 5);
    CHECK_EQ(cbor_peek(&r), CBOR_END);
    CHECK(!r.failed);
    cbor_array_end(&r);
    CHECK_EQ(cbor_peek(&r), CBOR_END);
    CHECK(cbor_done(&r));

    /* Wrong length, wrong type, too long, NUL inside: failed and emptied. */
    r = cbor_reader_of(all);
    uint8_t shorter[3] = {7, 7, 7};
    cbor_bytes_fixed(&r, shorter, sizeof(shorter));
    CHECK(r.failed);
    CHECK_MEM(shorter, "\0\0\0", 3);
    uint8_t longer[5] = {7, 7, 7, 7, 7};
    r = cbor_reader_of(all);
    cbor_bytes_fixed(&r, longer, sizeof(longer));
    CHECK(r.failed);
    CHECK_MEM(longer, "\0\0\0\0\0", 5);
    r = cbor_reader_of(all);
    CHECK(cbor_bytes(&r, 3).len == 0 && r.failed);
    r = cbor_reader_of(all);
    CHECK(cbor_text(&r, 9).len == 0 && r.failed);
    r = cbor_reader_of(slice_of("\x64wxyz", 5));
    cbor_text_copy(&r, text, 4);
    CHECK(r.failed);
    CHECK_STR(text, "");
    r = cbor_reader_of(slice_of("\x63w\0z", 4));
    cbor_text_copy(&r, text, sizeof(text));
    CHECK(r.failed);
    CHECK_STR(text, "");
    w = writer_of(bytes, sizeof(bytes));
    cbor_put_text(&w, slice_text("\xff"));
    CHECK(w.failed);
}

/* A message of fields 1 (uint), 2 (array of two texts), 4 (map of one pair), as decoders do it. */
struct message {
    uint64_t a;
    struct slice texts[2];
    uint64_t inner;
};

static bool message_decode(struct slice in, struct message *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    struct message m = {0};
    uint64_t key;
    uint64_t n;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        switch (key) {
        case 1:
            m.a = cbor_u64(&r);
            break;
        case 2:
            n = cbor_array_begin(&r, 2);
            for (uint64_t i = 0; i < n; i++) {
                m.texts[i] = cbor_text(&r, 8);
            }
            cbor_array_end(&r);
            break;
        case 4:
            cbor_map_begin(&r);
            while (cbor_map_next(&r, &key)) {
                m.inner = key * 100 + cbor_u64(&r);
            }
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r)) {
        return false;
    }
    *ret = m;
    return true;
}

TEST(base_cbor, messages)
{
    static const struct {
        const char *hex;
        bool is_good;
    } cases[] = {
        {"a3 0107 02826161 6162 04a10509", true}, /* blanks are for reading */
        {"a0", true},
        {"a10107", true},
        {"a1038301a163666f6f4101f6", true}, /* unknown odd key: skipped, whatever it holds */
        {"a1190101f6", true},
        {"a106f6", false},     /* unknown even key: critical */
        {"a10280", true},      /* an empty array */
        {"a102 816161", true}, /* one text */
        {"a102 83616161616161", false},
        {"a102 820102", false},
        {"a2 0107 0107", false},
        {"a2 0280 0107", false},
        {"a2 0300 0107", false},
        {"a1617807", false}, /* keys are unsigned */
        {"a12007", false},
        {"a101f6", false},
        {"a10107ff", false},
        {"a1010700", false},
        {"a104a0", true},
        {"a104a201010101", false},
        {"80", false},
        {"07", false},
        {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char hex[2 * BYTES_MAX];
        uint8_t bytes[BYTES_MAX];
        size_t n = 0;
        for (const char *p = cases[i].hex; *p != '\0'; p++) {
            hex[n] = *p;
            n += *p != ' ';
        }
        hex[n] = '\0';
        struct message m = {.a = 99};
        struct slice in = unhex(hex, bytes);
        CHECK_EQ(message_decode(in, &m), cases[i].is_good);
        CHECK_EQ(m.a == 99, !cases[i].is_good);
        if (i == 0) {
            CHECK_EQ(m.a, 7);
            CHECK(slice_equal(m.texts[0], slice_text("a")));
            CHECK(slice_equal(m.texts[1], slice_text("b")));
            CHECK_EQ(m.inner, 509);
        }
        for (size_t len = 0; cases[i].is_good && len < in.len; len++) {
            CHECK(!message_decode(slice_of(bytes, len), &m));
        }
    }
}

TEST(base_cbor, misuse_fails)
{
    uint64_t key;
    uint8_t bytes[BYTES_MAX];
    /* A value that was passed over, one read twice, and items beyond the end of an array. */
    struct cbor_reader r = cbor_reader_of(unhex("a201020304", bytes));
    cbor_map_begin(&r);
    CHECK(cbor_map_next(&r, &key));
    CHECK(!cbor_map_next(&r, &key));
    CHECK(r.failed);
    r = cbor_reader_of(unhex("a201020304", bytes));
    cbor_map_begin(&r);
    CHECK(cbor_map_next(&r, &key));
    CHECK_EQ(cbor_u64(&r), 2);
    CHECK_EQ(cbor_u64(&r), 0);
    CHECK(r.failed);
    r = cbor_reader_of(unhex("820102", bytes));
    CHECK_EQ(cbor_array_begin(&r, 9), 2);
    CHECK_EQ(cbor_u64(&r), 1);
    cbor_array_end(&r);
    CHECK(r.failed);
    r = cbor_reader_of(unhex("810102", bytes));
    CHECK_EQ(cbor_array_begin(&r, 9), 1);
    CHECK_EQ(cbor_u64(&r), 1);
    CHECK_EQ(cbor_u64(&r), 0);
    CHECK(r.failed);
    r = cbor_reader_of(unhex("8101", bytes));
    CHECK_EQ(cbor_array_begin(&r, 9), 1);
    CHECK_EQ(cbor_u64(&r), 1);
    CHECK(!cbor_done(&r)); /* not left */
    r = cbor_reader_of(unhex("820102", bytes));
    CHECK_EQ(cbor_array_begin(&r, 1), 0);
    CHECK(r.failed);
    /* After a failure all is harmless. */
    CHECK_EQ(cbor_peek(&r), CBOR_END);
    CHECK_EQ(cbor_array_begin(&r, 9), 0);
    cbor_array_end(&r);
    cbor_map_begin(&r);
    CHECK(!cbor_map_next(&r, &key));
    cbor_skip(&r);
    CHECK_EQ(cbor_raw(&r).len, 0);
    CHECK(!cbor_bool(&r));
    CHECK(!cbor_done(&r));
    /* A container at the deepest level is entered, one below it is not. */
    r = cbor_reader_of(unhex("818181818181818181", bytes));
    for (int i = 0; i < CBOR_DEPTH_MAX; i++) {
        CHECK_EQ(cbor_array_begin(&r, 1), 1);
    }
    CHECK_EQ(cbor_array_begin(&r, 1), 0);
    CHECK(r.failed);
}

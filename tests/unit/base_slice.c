/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "tests/harness.h"

TEST(base_slice, order_and_text)
{
    static const struct {
        const char *a, *b;
        int order;
    } cases[] = {{"", "", 0},    {"", "a", -1},      {"a", "", 1},        {"a", "b", -1},
                 {"ab", "a", 1}, {"a", "ab", -1},    {"ab", "ab", 0},     {"a\xff", "a\x01", 1},
                 {"b", "ab", 1}, {"abc", "abd", -1}, {"\x7f", "\x80", -1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice a = slice_text(cases[i].a);
        struct slice b = slice_text(cases[i].b);
        CHECK_EQ(slice_compare(a, b), cases[i].order);
        CHECK_EQ(slice_compare(b, a), -cases[i].order);
        CHECK_EQ(slice_equal(a, b), cases[i].order == 0);
    }
    CHECK(slice_equal(SLICE_EMPTY, slice_text("")));

    char out[4];
    CHECK(slice_to_text(slice_text("abc"), out, sizeof(out)));
    CHECK_STR(out, "abc");
    CHECK(!slice_to_text(slice_text("abcd"), out, sizeof(out)));
    CHECK_STR(out, "");
    CHECK(slice_to_text(SLICE_EMPTY, out, sizeof(out)));
    CHECK_STR(out, "");
    CHECK(!slice_to_text(slice_of("a\0b", 3), out, sizeof(out)));
    CHECK_STR(out, "");
}

TEST(base_slice, utf8)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"a\xe6\xb0\xb4z", true},
        {"\x80", false},             /* continuation first */
        {"\xc0\xaf", false},         /* too long for '/' */
        {"\xc1\xbf", false},         /* too long */
        {"\xc2", false},             /* cut off */
        {"\xc2 ", false},            /* no continuation */
        {"\xe0\x9f\xbf", false},     /* too long */
        {"\xe0\xa0", false},         /* cut off */
        {"\xe1\x80 ", false},        /* no continuation */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xed\xbf\xbf", false},     /* surrogate */
        {"\xf0\x8f\xbf\xbf", false}, /* too long */
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xf0\x90\x80", false},     /* cut off */
        {"\xf5\x80\x80\x80", false}, /* no such lead */
        {"\xff", false},
        {"ok\xfe", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_EQ(slice_is_utf8(slice_text(cases[i].text)), cases[i].is_good);
    }
    CHECK(slice_is_utf8(slice_of("a\0b", 3)));
}

/* Each field once; returns what was read, in order. */
static struct reader read_all(struct slice in)
{
    struct reader r = reader_of(in);
    uint8_t copy[3] = {9, 9, 9};
    uint8_t u8 = reader_u8(&r);
    uint16_t u16 = reader_u16(&r);
    uint32_t u24 = reader_u24(&r);
    uint32_t u32 = reader_u32(&r);
    uint64_t u64 = reader_u64(&r);
    struct slice s = reader_bytes(&r, 2);
    reader_copy(&r, copy, sizeof(copy));
    if (!r.failed) {
        CHECK_EQ(u8, 0x01);
        CHECK_EQ(u16, 0x0203);
        CHECK_EQ(u24, 0xfe0506);
        CHECK_EQ(u32, 0xfd08090a);
        CHECK(u64 == UINT64_C(0xfc0c0d0e0f101112));
        CHECK(slice_equal(s, slice_text("hi")));
        CHECK_MEM(copy, "xyz", 3);
    } else {
        CHECK_MEM(copy, "\0\0\0", 3);
        CHECK_EQ(reader_left(&r), 0);
    }
    return r;
}

TEST(base_slice, reader_and_writer)
{
    uint8_t bytes[23];
    for (size_t cap = 0; cap <= sizeof(bytes); cap++) {
        struct writer w = writer_of(bytes, cap);
        writer_u8(&w, 0x01);
        writer_u16(&w, 0x0203);
        writer_u24(&w, 0xfe0506);
        writer_u32(&w, 0xfd08090a);
        writer_u64(&w, UINT64_C(0xfc0c0d0e0f101112));
        writer_bytes(&w, slice_text("hi"));
        uint8_t *p = writer_reserve(&w, 3);
        CHECK_EQ(p == NULL, cap < sizeof(bytes));
        CHECK_EQ(w.failed, cap < sizeof(bytes));
        CHECK_EQ(writer_slice(&w).len, w.failed ? 0 : sizeof(bytes));
        if (p != NULL) {
            memcpy(p, "xyz", 3);
        }
    }
    CHECK_MEM(bytes, "\x01\x02\x03\xfe\x05\x06\xfd\x08\x09\x0a\xfc\x0c\x0d\x0e", 14);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct reader r = read_all(slice_of(bytes, len));
        CHECK_EQ(r.failed, len < sizeof(bytes));
        CHECK_EQ(reader_done(&r), len == sizeof(bytes));
    }
}

TEST(base_slice, failure_is_sticky)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    struct reader r = reader_of(slice_of(bytes, 4));
    CHECK_EQ(reader_u8(&r), 1);
    CHECK_EQ(reader_left(&r), 3);
    CHECK(!reader_done(&r));
    CHECK_EQ(reader_bytes(&r, SIZE_MAX).len, 0);
    CHECK(r.failed);
    CHECK_EQ(reader_u8(&r), 0);
    CHECK(!reader_done(&r));

    struct writer w = writer_of(bytes, 4);
    writer_u64(&w, 1);
    writer_u8(&w, 9);
    CHECK(w.failed);
    CHECK_EQ(w.len, 0);
    CHECK_EQ(bytes[0], 1);
    w = writer_of(NULL, 0);
    writer_bytes(&w, SLICE_EMPTY);
    CHECK(!w.failed);

    struct reader none = reader_of(SLICE_EMPTY);
    reader_copy(&none, bytes, 0);
    CHECK(reader_done(&none));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/fields.h"

struct message {
    uint8_t small;
    bool flag;
    uint32_t number;
    uint64_t large;
    int64_t sign;
    struct slice bytes, text;
    uint8_t fixed[4];
    uint32_t counts[2];
};

#define AT(m) .offset = offsetof(struct message, m)
static const struct field list[] = {
    {.key = 1, .type = FIELD_U8, AT(small), .min = 2, .max = 9},
    {.key = 2, .type = FIELD_BOOL, AT(flag)},
    {.key = 3, .type = FIELD_U32, AT(number), .max = 1000, .is_needed = true},
    {.key = 5, .type = FIELD_U64, AT(large), .max = UINT64_MAX},
    {.key = 7, .type = FIELD_I64, AT(sign)},
    {.key = 8, .type = FIELD_BYTES, AT(bytes), .max = 3},
    {.key = 9, .type = FIELD_TEXT, AT(text), .max = 3},
    {.key = 10, .type = FIELD_FIXED, AT(fixed), .max = 4},
    {.key = 12, .type = FIELD_COUNTS, AT(counts), .max = 2},
};
static const struct fields table = {list, ARRAY_LEN(list)};

/* What is read is written again as it was; what breaks the table leaves the message alone. */
TEST(exec_fields, decode)
{
    static const struct {
        const char *hex;
        bool is_ok;
    } cases[] = {
        {"a10300", true},
        {"a20102031903e8", true},
        {"a9010202f5030105010720084141096142 0a4401020304 0c820102", true},
        {"a2010103 01", false},         /* 1: below its least */
        {"a2010a0301", false},          /* 1: above its greatest */
        {"a1031903e9", false},          /* 3: above its greatest */
        {"a0", false},                  /* 3: missing, nothing there */
        {"a10501", false},              /* 3: missing in the middle */
        {"a2030108 4401020304", false}, /* 8: too long */
        {"a2030109 41ff", false},       /* 9: bytes, not text */
        {"a203010a 43010203", false},   /* 10: too short */
        {"a203010c 8101", false},       /* 12: too few */
        {"a2030102 01", false},         /* 2: out of order */
        {"a20301 0400", false},         /* 4: unknown and even */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char hex[128];
        uint8_t in[64], out[64];
        size_t n = 0, len;
        for (const char *p = cases[i].hex; *p != 0; p++) {
            if (*p != ' ') {
                hex[n++] = *p;
            }
        }
        CHECK_OK(hex_decode(slice_of(hex, n), in, sizeof(in), &len));
        struct message m = {.number = 77};
        enum ipx_err err = fields_decode(&table, slice_of(in, len), &m, sizeof(m));
        CHECK_EQ(err, cases[i].is_ok ? IPX_OK : IPX_MALFORMED);
        if (cases[i].is_ok) {
            struct writer w = writer_of(out, sizeof(out));
            fields_encode(&table, &m, &w);
            CHECK(slice_equal(writer_slice(&w), slice_of(in, len)));
        } else {
            CHECK_EQ(m.number, 77);
        }
    }
    struct message m = {0};
    CHECK_OK(fields_decode(&table, slice_of("\xa2\x03\x01\x0f\x00", 5), &m, sizeof(m)));
    CHECK_EQ(m.number, 1); /* 15: unknown and odd */
}

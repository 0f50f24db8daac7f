/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "base/id.h"
#include "base/rng.h"
#include "node/record.h"

static const uint8_t split_key[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

struct pipe {
    struct mem mem;
    struct record_sealer sealer;
    struct record_opener opener;
    uint8_t *bytes;
    size_t len;
};

#define PIPE_MAX (8u << 20)

static void pipe_init(struct pipe *p, enum crypt_suite suite)
{
    CHECK_OK(crypt_init());
    mem_init(&p->mem, SIZE_MAX);
    record_sealer_init(&p->sealer, suite, split_key);
    record_opener_init(&p->opener, suite, split_key, &p->mem);
    p->bytes = malloc(PIPE_MAX);
    p->len = 0;
}

static void pipe_done(struct pipe *p)
{
    record_sealer_done(&p->sealer);
    record_opener_done(&p->opener);
    free(p->bytes);
    CHECK_EQ(p->mem.used, 0);
}

static size_t put(struct pipe *p, enum record_type type, const void *plain, size_t len)
{
    if (len > 0) {
        memcpy(p->bytes + p->len + RECORD_HEADER_LEN, plain, len);
    }
    size_t n = record_seal(&p->sealer, type, p->bytes + p->len, len);
    CHECK_EQ(n, len + RECORD_OVERHEAD);
    p->len += n;
    return n;
}

static enum ipx_err open_one(struct pipe *p, struct slice bytes, struct slice *ret)
{
    record_opener_feed(&p->opener, bytes);
    return record_open(&p->opener, ret);
}

static size_t suites(enum crypt_suite ret[2])
{
    ret[0] = CRYPT_SUITE_CHACHA20;
    ret[1] = CRYPT_SUITE_AES256GCM;
    return crypt_suite_available(CRYPT_SUITE_AES256GCM) ? 2 : 1;
}

TEST(node_record, golden_bytes)
{
    /* made with libsodium by hand: key = BLAKE2b-256(split key || suite), nonce 0 and 1 */
    static const struct {
        enum crypt_suite suite;
        const char *hex; /* "hello", REKEY, an empty record under the next key, CLOSE */
    } cases[] = {
        {CRYPT_SUITE_CHACHA20,
         "0100001560117b1e0b5efe4bd82d8ea253b8fbce2631e8604802000010ec5589458ae3"
         "b522bea4c696708bb9f8010000107e323b87dae766d628ca1be7b86c293f0300001048"
         "9d5b2b13aad68625e36d04e2faa520"},
        {CRYPT_SUITE_AES256GCM,
         "01000015676936374117bed304eb0b39881246138a7061ce4402000010bf377f47c379"
         "f3ddd783cf86748b4bc101000010d3e344e391cada6daa8c684a4074501203000010d1"
         "02af6f50017ad88cd5014e659edaab"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pipe p;
        char hex[512];
        CHECK_OK(crypt_init());
        if (!crypt_suite_available(cases[i].suite)) {
            continue;
        }
        pipe_init(&p, cases[i].suite);
        (void)put(&p, RECORD_DATA, "hello", 5);
        (void)put(&p, RECORD_REKEY, NULL, 0);
        (void)put(&p, RECORD_DATA, NULL, 0);
        (void)put(&p, RECORD_CLOSE, NULL, 0);
        hex_encode(slice_of(p.bytes, p.len), hex);
        CHECK_STR(hex, cases[i].hex);
        pipe_done(&p);
    }
}

TEST(node_record, round_trip_at_any_segmentation)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 1000, 16384, 65535, RECORD_PLAIN_MAX, 3, 70};
    static uint8_t plain[RECORD_PLAIN_MAX];
    enum crypt_suite suite[2];
    size_t n_suites = suites(suite);
    struct rng rng;
    rng_init_int(&rng, 7);
    rng_fill(&rng, plain, sizeof(plain));
    for (size_t i = 0; i < n_suites; i++) {
        for (size_t segment = 0; segment < 6; segment++) {
            struct pipe p;
            pipe_init(&p, suite[i]);
            for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
                (void)put(&p, RECORD_DATA, plain, lens[k]);
                if (k == 4) {
                    (void)put(&p, RECORD_REKEY, NULL, 0);
                }
            }
            (void)put(&p, RECORD_CLOSE, NULL, 0);
            size_t at = 0, n_got = 0;
            enum ipx_err err = IPX_AGAIN;
            while (at < p.len) {
                size_t n = segment == 0   ? p.len
                           : segment == 1 ? 1
                                          : 1 + (size_t)rng_below(&rng, 20000 * segment);
                n = IPX_MIN(n, p.len - at);
                /* memory of exactly this size, so that a read beyond it is seen */
                uint8_t *bytes = malloc(n);
                memcpy(bytes, p.bytes + at, n);
                record_opener_feed(&p.opener, slice_of(bytes, n));
                struct slice got;
                while ((err = record_open(&p.opener, &got)) == IPX_OK) {
                    CHECK(n_got < ARRAY_LEN(lens));
                    CHECK_EQ(got.len, lens[n_got]);
                    CHECK(got.len == 0 || memcmp(got.data, plain, got.len) == 0);
                    n_got++;
                }
                CHECK(err == IPX_AGAIN || at + n == p.len);
                free(bytes);
                at += n;
            }
            CHECK_EQ(err, IPX_END);
            CHECK_EQ(n_got, ARRAY_LEN(lens));
            CHECK(record_opener_is_between(&p.opener));
            struct slice more;
            CHECK_EQ(open_one(&p, slice_text("what follows CLOSE is dropped"), &more), IPX_END);
            /* nothing large is kept when nothing is under way */
            CHECK(p.mem.used <= 8192);
            pipe_done(&p);
        }
    }
}

TEST(node_record, every_altered_bit_is_seen)
{
    enum crypt_suite suite[2];
    size_t n_suites = suites(suite);
    for (size_t i = 0; i < n_suites; i++) {
        for (size_t bit = 0; bit < 8 * (RECORD_OVERHEAD + 10); bit++) {
            struct pipe p;
            struct slice got;
            pipe_init(&p, suite[i]);
            (void)put(&p, RECORD_DATA, "0123456789", 10);
            p.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            enum ipx_err err = open_one(&p, slice_of(p.bytes, p.len), &got);
            /* a length that grew waits for its bytes, and then the tag is wrong */
            CHECK(err == IPX_BAD_SIGNATURE || err == IPX_MALFORMED || err == IPX_AGAIN);
            CHECK(err != IPX_AGAIN || bit < 32);
            if (err == IPX_AGAIN) {
                static const uint8_t zeros[RECORD_MAX];
                err = open_one(&p, slice_of(zeros, sizeof(zeros)), &got);
                CHECK_EQ(err, IPX_BAD_SIGNATURE);
            }
            pipe_done(&p);
        }
    }
}

TEST(node_record, replay_reorder_and_omission_are_seen)
{
    for (int k = 0; k < 4; k++) {
        struct pipe p;
        struct slice got;
        pipe_init(&p, CRYPT_SUITE_CHACHA20);
        size_t a = put(&p, RECORD_DATA, "first", 5);
        size_t b = put(&p, RECORD_DATA, "second", 6);
        struct slice first = slice_of(p.bytes, a), second = slice_of(p.bytes + a, b);
        if (k == 0) {
            CHECK_EQ(open_one(&p, second, &got), IPX_BAD_SIGNATURE);
        } else {
            CHECK_OK(open_one(&p, first, &got));
            CHECK(slice_equal(got, slice_text("first")));
            CHECK_EQ(record_open(&p.opener, &got), IPX_AGAIN);
            if (k == 1) {
                CHECK_EQ(open_one(&p, first, &got), IPX_BAD_SIGNATURE);
            } else if (k == 2) {
                /* a record sealed under the key before REKEY */
                CHECK_OK(open_one(&p, second, &got));
                CHECK_EQ(record_open(&p.opener, &got), IPX_AGAIN);
                size_t at = p.len;
                size_t c = put(&p, RECORD_REKEY, NULL, 0);
                CHECK_EQ(open_one(&p, slice_of(p.bytes + at, c), &got), IPX_AGAIN);
                CHECK_EQ(open_one(&p, first, &got), IPX_BAD_SIGNATURE);
            } else {
                CHECK_OK(open_one(&p, second, &got));
                CHECK(slice_equal(got, slice_text("second")));
            }
        }
        pipe_done(&p);
    }
}

TEST(node_record, headers_are_judged_before_anything_is_kept)
{
    static const struct {
        uint8_t header[4];
        enum ipx_err want;
    } cases[] = {
        {{0, 0, 0, 16}, IPX_MALFORMED},         /* no type */
        {{4, 0, 0, 16}, IPX_MALFORMED},         /* unknown type */
        {{1, 0, 0, 15}, IPX_MALFORMED},         /* shorter than its tag */
        {{1, 0, 0, 0}, IPX_MALFORMED},          /* empty */
        {{1, 1, 0, 17}, IPX_MALFORMED},         /* 65,553 */
        {{1, 0xff, 0xff, 0xff}, IPX_MALFORMED}, /* the longest that can be said */
        {{2, 0, 0, 17}, IPX_MALFORMED},         /* REKEY with content */
        {{3, 0, 0, 17}, IPX_MALFORMED},         /* CLOSE with content */
        {{1, 1, 0, 16}, IPX_AGAIN},             /* the longest allowed */
        {{1, 0, 0, 16}, IPX_AGAIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t cut = 0; cut < 4; cut++) { /* whole, and in two pieces */
            struct pipe p;
            struct slice got;
            pipe_init(&p, CRYPT_SUITE_CHACHA20);
            if (cut > 0) {
                CHECK_EQ(open_one(&p, slice_of(cases[i].header, cut), &got), IPX_AGAIN);
            }
            CHECK_EQ(open_one(&p, slice_of(cases[i].header + cut, 4 - cut), &got), cases[i].want);
            CHECK(p.mem.peak <= 128); /* no room is made for what was only claimed */
            pipe_done(&p);
        }
    }
}

TEST(node_record, keys_are_changed_in_time)
{
    /* with small limits the same rules as with 2^24 records and 64 GiB */
    for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
        struct pipe p;
        struct slice got;
        pipe_init(&p, CRYPT_SUITE_CHACHA20);
        p.sealer.key.counter_max = p.opener.key.counter_max = by_bytes ? 1000 : 5;
        p.sealer.key.bytes_max = p.opener.key.bytes_max = by_bytes ? 20 : 1000;
        uint8_t first_key[32];
        memcpy(first_key, p.sealer.key.key, 32);
        unsigned n_rekeys = 0;
        for (int i = 0; i < 40; i++) {
            size_t at = p.len;
            if (record_sealer_wants_rekey(&p.sealer)) {
                (void)put(&p, RECORD_REKEY, NULL, 0);
                n_rekeys++;
                CHECK_EQ(p.sealer.key.counter, 0);
                CHECK(memcmp(first_key, p.sealer.key.key, 32) != 0);
            }
            (void)put(&p, RECORD_DATA, "12345", 5);
            CHECK_OK(open_one(&p, slice_of(p.bytes + at, p.len - at), &got));
            CHECK(slice_equal(got, slice_text("12345")));
            CHECK_EQ(record_open(&p.opener, &got), IPX_AGAIN);
        }
        CHECK_EQ(n_rekeys, 9); /* after each four */
        /* a peer that never changes its key */
        p.sealer.key.counter_max = p.sealer.key.bytes_max = UINT64_MAX;
        enum ipx_err err = IPX_OK;
        for (int i = 0; i < 10 && err == IPX_OK; i++) {
            size_t at = p.len;
            (void)put(&p, RECORD_DATA, "12345", 5);
            err = open_one(&p, slice_of(p.bytes + at, p.len - at), &got);
            if (err == IPX_OK) {
                CHECK_EQ(record_open(&p.opener, &got), IPX_AGAIN);
            }
        }
        CHECK_EQ(err, IPX_LIMIT);
        pipe_done(&p);
    }
    CHECK_EQ(RECORD_KEY_RECORDS_MAX, 16777216);
    CHECK_EQ(RECORD_KEY_BYTES_MAX, INT64_C(68719476736));
}

TEST(node_record, no_memory_is_a_fault)
{
    for (uint64_t after = 0; after < 8; after++) {
        struct pipe p;
        struct slice got;
        pipe_init(&p, CRYPT_SUITE_CHACHA20);
        static const uint8_t plain[5000];
        (void)put(&p, RECORD_DATA, plain, sizeof(plain));
        p.mem.fail_after = after;
        enum ipx_err err = open_one(&p, slice_of(p.bytes, 100), &got);
        if (err == IPX_AGAIN) {
            err = open_one(&p, slice_of(p.bytes + 100, p.len - 100), &got);
        }
        CHECK(err == IPX_NO_MEMORY || err == IPX_OK);
        CHECK(err == (after == 0 ? IPX_NO_MEMORY : err));
        CHECK(err == (after == 7 ? IPX_OK : err));
        pipe_done(&p);
    }
}

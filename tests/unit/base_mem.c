/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "tests/harness.h"

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

TEST(base_mem, counts_and_zeroes)
{
    struct mem m;
    mem_init(&m, SIZE_MAX);
    uint8_t *a = mem_alloc(&m, 100);
    uint8_t *b = mem_alloc_array(&m, 7, 3);
    void *none = mem_alloc(&m, 0);
    CHECK(a != NULL && b != NULL && none != NULL);
    CHECK(is_zero(a, 100) && is_zero(b, 21));
    CHECK_EQ((uintptr_t)a % _Alignof(max_align_t), 0);
    CHECK_EQ(m.used, 121);
    CHECK_EQ(m.n_live, 3);

    memset(a, 0xaa, 100);
    a = mem_realloc(&m, a, 5000);
    CHECK(a != NULL);
    CHECK_EQ(a[99], 0xaa);
    CHECK(is_zero(a + 100, 4900));
    CHECK_EQ(m.used, 5021);
    a = mem_realloc(&m, a, 10);
    CHECK(a != NULL);
    CHECK_EQ(m.used, 31);
    CHECK_EQ(m.peak, 5021);
    a = mem_realloc(&m, a, 20);
    CHECK(a != NULL);
    CHECK_EQ(a[9], 0xaa);
    CHECK(is_zero(a + 10, 10));

    char *copy = mem_dup(&m, "text", 4);
    CHECK(copy != NULL);
    CHECK_STR(copy, "text");
    void *fresh = mem_realloc(&m, NULL, 8);
    CHECK(fresh != NULL);
    mem_free(&m, NULL);
    mem_free(&m, fresh);
    mem_free(&m, copy);
    mem_free(&m, none);
    mem_free(&m, b);
    mem_free(&m, a);
    CHECK_EQ(m.used, 0);
    CHECK_EQ(m.n_live, 0);
}

TEST(base_mem, limit_and_overflow)
{
    struct mem m;
    mem_init(&m, 100);
    uint8_t *a = mem_alloc(&m, 60);
    CHECK(a != NULL);
    CHECK(mem_alloc(&m, 41) == NULL);
    CHECK(mem_realloc(&m, a, 101) == NULL);
    CHECK_EQ(m.used, 60);
    uint8_t *b = mem_alloc(&m, 40);
    CHECK(b != NULL);
    CHECK(mem_alloc(&m, 1) == NULL);
    a = mem_realloc(&m, a, 30); /* a smaller block is allowed at the limit */
    CHECK(a != NULL);
    CHECK_EQ(m.used, 70);
    mem_free(&m, a);
    mem_free(&m, b);
    CHECK_EQ(m.used, 0);
    CHECK_EQ(m.peak, 100);

    mem_init(&m, SIZE_MAX);
    CHECK(mem_alloc(&m, SIZE_MAX) == NULL);
    CHECK(mem_alloc_array(&m, SIZE_MAX / 2, 3) == NULL);
    CHECK(mem_dup(&m, "", SIZE_MAX) == NULL);
    CHECK_EQ(m.used, 0);
}

TEST(base_mem, ordered_failure)
{
    for (uint64_t n = 0; n < 5; n++) {
        struct mem m;
        void *blocks[5];
        mem_init(&m, SIZE_MAX);
        m.fail_after = n;
        for (uint64_t i = 0; i < 5; i++) {
            blocks[i] = mem_alloc(&m, 8);
            CHECK_EQ(blocks[i] == NULL, i >= n);
        }
        CHECK(mem_realloc(&m, blocks[0], 9) == NULL);
        CHECK_EQ(m.used, n * 8);
        m.fail_after = UINT64_MAX;
        for (uint64_t i = 0; i < 5; i++) {
            mem_free(&m, blocks[i]);
        }
        CHECK_EQ(m.used, 0);
    }
}

TEST(base_mem, charges_count_as_blocks_do)
{
    struct mem m;
    mem_init(&m, 100);
    CHECK(mem_charge(&m, 60));
    CHECK_EQ(m.used, 60);
    CHECK_EQ(m.n_live, 1);
    CHECK(!mem_charge(&m, 41));
    CHECK(mem_alloc(&m, 41) == NULL);
    mem_discharge(&m, 60);
    CHECK_EQ(m.used, 0);
    CHECK_EQ(m.peak, 60);
    m.fail_after = 0;
    CHECK(!mem_charge(&m, 1));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/index.h"
#include "tests/harness.h"

struct item {
    uint32_t other;
    uint32_t key;
};

enum { MAX = 100 };
static const uint8_t secret[16] = {1};

static void check_all(const struct index *x, const struct item *items, const bool *is_in)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MAX; i++) {
        CHECK(index_find(x, &items[i].key) == (is_in[i] ? &items[i] : NULL));
        n += is_in[i] ? 1u : 0u;
    }
    CHECK_EQ(x->n, n);
    uint32_t n_places = 0;
    for (uint32_t i = 0; i < x->n_places; i++) {
        n_places += index_at(x, i) != NULL ? 1u : 0u;
    }
    CHECK_EQ(n_places, n);
}

TEST(node_index, grows_to_its_limit_and_forgets)
{
    struct mem mem;
    struct index x;
    static struct item items[MAX + 1];
    bool is_in[MAX] = {false};
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(index_init(&x, &mem, MAX, sizeof(uint32_t), offsetof(struct item, key), secret));
    CHECK_EQ(x.n_places, INDEX_FIRST);
    for (uint32_t i = 0; i <= MAX; i++) {
        items[i].key = i * 7919;
    }
    for (uint32_t i = 0; i < MAX; i++) {
        CHECK_OK(index_add(&x, &items[i]));
        is_in[i] = true;
        CHECK_EQ(index_add(&x, &items[i]), IPX_EXISTS);
        check_all(&x, items, is_in);
    }
    CHECK_EQ(index_add(&x, &items[MAX]), IPX_FULL);
    for (uint32_t i = 0; i < MAX; i += 3) {
        index_remove(&x, &items[i]);
        is_in[i] = false;
        check_all(&x, items, is_in);
    }
    CHECK_OK(index_add(&x, &items[MAX]));
    index_remove(&x, &items[MAX]);
    check_all(&x, items, is_in);
    index_done(&x);
    CHECK_EQ(mem.used, 0);
}

TEST(node_index, no_memory_changes_nothing)
{
    for (uint64_t n = 0; n < 12; n++) {
        struct mem mem;
        struct index x;
        static struct item items[MAX];
        bool is_in[MAX] = {false};
        mem_init(&mem, SIZE_MAX);
        mem.fail_after = n;
        if (index_init(&x, &mem, MAX, sizeof(uint32_t), offsetof(struct item, key), secret) !=
            IPX_OK) {
            CHECK_EQ(mem.used, 0);
            continue;
        }
        for (uint32_t i = 0; i < MAX; i++) {
            items[i].key = i;
        }
        for (uint32_t i = 0; i < MAX; i++) {
            is_in[i] = index_add(&x, &items[i]) == IPX_OK;
            check_all(&x, items, is_in);
        }
        index_done(&x);
        CHECK_EQ(mem.used, 0);
    }
}

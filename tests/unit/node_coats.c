/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "base/crypt.h"
#include "node/coats.h"

static struct node_id key_of(uint8_t i)
{
    struct crypt_keypair key;
    uint8_t seed[32] = {i};
    while (crypt_keypair_from_seed(seed, &key) != IPX_OK) {
        seed[1]++;
    }
    return key.pk;
}

static struct addr at(uint16_t port)
{
    return (struct addr){.family = ADDR_V4, .ip = {10, 0, 0, 2}, .port = port};
}

TEST(node_coats, newest_first_and_never_more_than_the_limit)
{
    struct coats c = {.n = 0};
    CHECK_OK(crypt_init());
    for (uint8_t i = 0; i < COATS_MAX + 3; i++) {
        struct node_id id = key_of(i);
        struct addr a = at((uint16_t)(100 + i)), none = at(0);
        CHECK(coats_find(&c, &id) == NULL);
        CHECK(coats_put(&c, &id, &a));
        CHECK(!coats_put(&c, &id, &a));
        CHECK(!coats_put(&c, &id, &none));
        CHECK(addr_equal(coats_find(&c, &id), &a));
        CHECK_EQ(c.n, IPX_MIN(i + 1, COATS_MAX));
    }
    struct node_id first = key_of(0), mid = key_of(6);
    struct addr moved = at(9);
    CHECK(coats_find(&c, &first) == NULL);
    CHECK(coats_put(&c, &mid, &moved));
    CHECK_EQ(c.n, COATS_MAX);
    CHECK(node_id_equal(&c.all[0].id, &mid));
    CHECK(addr_equal(coats_find(&c, &mid), &moved));
    for (uint8_t i = 3; i < COATS_MAX + 3; i++) {
        struct node_id id = key_of(i);
        CHECK(coats_find(&c, &id) != NULL);
    }
}

TEST(node_coats, what_is_saved_comes_back_and_nothing_else)
{
    struct coats c = {.n = 0}, back;
    uint8_t bytes[COATS_SAVE_MAX];
    CHECK_OK(crypt_init());
    for (uint8_t i = 0; i < COATS_MAX; i++) {
        struct node_id id = key_of(i);
        struct addr a = i % 2 == 0
                            ? at((uint16_t)(443 + i))
                            : (struct addr){.family = ADDR_V6, .ip = {0x20, 1, i}, .port = 443};
        CHECK(coats_put(&c, &id, &a));
    }
    struct writer w = writer_of(bytes, sizeof(bytes));
    coats_encode(&c, &w);
    struct slice saved = writer_slice(&w);
    CHECK(!w.failed);
    CHECK_OK(coats_decode(saved, &back));
    CHECK_EQ(back.n, COATS_MAX);
    for (unsigned i = 0; i < back.n; i++) {
        CHECK(node_id_equal(&back.all[i].id, &c.all[i].id));
        CHECK(addr_equal(&back.all[i].addr, &c.all[i].addr));
    }
    for (size_t len = 0; len < saved.len; len++) {
        CHECK_EQ(coats_decode(slice_of(bytes, len), &back), IPX_MALFORMED);
    }
    bytes[0]++; /* one more than there are, and than is allowed */
    CHECK_EQ(coats_decode(saved, &back), IPX_MALFORMED);
    const uint8_t none[] = {0x80};
    CHECK_OK(coats_decode(slice_of(none, 1), &back));
    CHECK_EQ(back.n, 0);
}

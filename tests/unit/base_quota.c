/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quota.h"
#include "base/rng.h"
#include "tests/harness.h"

#define N_CHARGES 40

TEST(base_quota, both_or_neither)
{
    static const uint64_t all[QUOTA_N_KINDS] = {100, 3, 1};
    static const uint64_t each[QUOTA_N_KINDS] = {70, 2, 5};
    struct quota node, a, b;
    struct quota_charge x = QUOTA_CHARGE_INIT, y = QUOTA_CHARGE_INIT, z = QUOTA_CHARGE_INIT;
    quota_init(&node, NULL, all);
    quota_init(&a, &node, each);
    quota_init(&b, &node, each);
    CHECK_EQ(quota_left(&a, QUOTA_BYTES), 70);
    CHECK_EQ(quota_left(&a, QUOTA_STREAMS), 1);
    CHECK_EQ(quota_charge(&a, &x, QUOTA_BYTES, 71), IPX_LIMIT);
    CHECK(x.quota == NULL);
    CHECK_OK(quota_charge(&a, &x, QUOTA_BYTES, 60));
    CHECK_EQ(quota_left(&b, QUOTA_BYTES), 40);
    CHECK_EQ(quota_charge(&b, &y, QUOTA_BYTES, 41), IPX_LIMIT);
    CHECK_EQ(b.used[QUOTA_BYTES], 0);
    CHECK_OK(quota_charge(&b, &y, QUOTA_BYTES, 40));
    CHECK_OK(quota_charge(&a, &z, QUOTA_BYTES, 0));
    CHECK_EQ(quota_charge_resize(&x, 61), IPX_LIMIT);
    CHECK_EQ(x.amount, 60);
    CHECK_OK(quota_charge_resize(&x, 10));
    CHECK_OK(quota_charge_resize(&y, 70));
    CHECK_EQ(node.used[QUOTA_BYTES], 80);
    CHECK_EQ(quota_charge_resize(&z, 21), IPX_LIMIT);
    quota_set_limit(&b, QUOTA_BYTES, 50); /* below what is charged already */
    CHECK_EQ(quota_left(&b, QUOTA_BYTES), 0);
    CHECK_EQ(quota_charge_resize(&y, 71), IPX_LIMIT);
    CHECK_OK(quota_charge_resize(&y, 49));
    CHECK_EQ(quota_left(&b, QUOTA_BYTES), 1);
    quota_charge_return(&x);
    quota_charge_return(&x);
    quota_charge_return(&y);
    quota_charge_return(&z);
    CHECK_EQ(node.used[QUOTA_BYTES], 0);
    quota_done(&a);
    quota_done(&b);
    CHECK_EQ(node.n_users, 0);
    quota_done(&node);
    quota_done(&node);
}

TEST(base_quota, random_sums)
{
    static const uint64_t limits[2][QUOTA_N_KINDS] = {{2000, 500, 100}, {900, 300, 60}};
    struct rng r;
    struct quota node, peers[3];
    struct quota_charge charges[N_CHARGES] = {0};
    rng_init_int(&r, 11);
    quota_init(&node, NULL, limits[0]);
    for (size_t i = 0; i < 3; i++) {
        quota_init(&peers[i], &node, limits[1]);
    }
    for (int step = 0; step < 20000; step++) {
        struct quota_charge *c = &charges[rng_below(&r, N_CHARGES)];
        struct quota *q = &peers[rng_below(&r, 3)];
        enum quota_kind kind = (enum quota_kind)rng_below(&r, QUOTA_N_KINDS);
        uint64_t amount = rng_below(&r, 150);
        if (c->quota == NULL) {
            uint64_t left = quota_left(q, kind);
            CHECK_EQ(quota_charge(q, c, kind, amount), amount <= left ? IPX_OK : IPX_LIMIT);
        } else if (rng_chance(&r, 500)) {
            err_ignore(quota_charge_resize(c, amount), "the sums are checked below");
        } else {
            quota_charge_return(c);
        }
        uint64_t sums[3][QUOTA_N_KINDS] = {{0}};
        for (size_t i = 0; i < N_CHARGES; i++) {
            if (charges[i].quota != NULL) {
                sums[charges[i].quota - peers][charges[i].kind] += charges[i].amount;
            }
        }
        for (size_t k = 0; k < QUOTA_N_KINDS; k++) {
            for (size_t i = 0; i < 3; i++) {
                CHECK_EQ(peers[i].used[k], sums[i][k]);
                CHECK(peers[i].used[k] <= limits[1][k]);
            }
            CHECK_EQ(node.used[k], sums[0][k] + sums[1][k] + sums[2][k]);
            CHECK(node.used[k] <= limits[0][k]);
        }
    }
    for (size_t i = 0; i < N_CHARGES; i++) {
        quota_charge_return(&charges[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        quota_done(&peers[i]);
    }
    quota_done(&node);
}

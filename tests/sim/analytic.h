/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A mesh of up to 10^6 nodes whose routing tables are computed, not stored (overlay 2.6):
 * the positions are sorted once, bucket i of a node is a pseudo-random choice from the
 * contiguous range of those that share exactly i bits with it, as many as the real table
 * holds there. What is searched with is the real lookup object and the real list of
 * requests; each search has virtual time of its own.
 *
 * Round trips are drawn from a log-normal distribution (median 80 ms, sigma 0.5) by a
 * table of integers, one figure a pair of nodes. A share of the nodes is dead and still
 * stands in everybody's tables; a share colludes: it answers with the colluders nearest
 * to the target and with nobody else. All follows from the seed.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "dht/lookup.h"
#include "dht/rpc.h"

struct analytic_config {
    uint32_t n;
    uint64_t seed;
    unsigned dead_permille, colluding_permille, loss_permille; /* loss: one way */
};

struct analytic_node {
    uint64_t top; /* first 8 bytes of the position: what the nodes are sorted by */
    uint32_t number;
};

struct analytic {
    struct analytic_config config;
    struct mesh_id mesh;
    struct mem mem;
    struct rng rng;
    struct analytic_node *nodes; /* config.n, sorted */
    struct dht_rpc rpc;          /* of the one who searches: knows what was lost lately */
    uint64_t now_us;
};

struct analytic_found {
    uint64_t time_us;
    unsigned n_sent;
    unsigned depth;        /* hops to the deepest of those found */
    unsigned n_true;       /* of the nearest 16 that live, those among the first 16 found */
    bool is_nearest_found; /* the nearest honest one is among them */
    enum ipx_err status;
};

void analytic_init(struct analytic *a, const struct analytic_config *config);
void analytic_done(struct analytic *a);
/* One search from a random honest node to a random target. */
struct analytic_found analytic_search(struct analytic *a, enum lookup_mode mode, uint8_t paths);

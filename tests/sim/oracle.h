/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Looks at the world from outside and says when something does not hold (overlay section 7,
 * invariants). The world calls it at each packet, start and turn; it looks into the node objects
 * but never changes them, draws no random number and sends no event: with and without it a seed is
 * the same run. The first breach ends the run by world_fail().
 *
 *   oracle.c       whole nodes: what one knows agrees with what is so, and never goes back
 *   oracle_wire.c  packets: budgets, amplification, numbers that seal once
 *   oracle_work.c  attempts: started once, within their claims, within the slots
 */
#include "tests/sim/tally.h"
#include "tests/sim/world.h"

/* Of datagrams of one node within 10 s. A join storm costs the admitter most: what one joiner is
 * told grows with those before it (81 KiB each in a mesh of 128). */
#define ORACLE_BYTES_10S (256u << 10)
#define ORACLE_BYTES_10S_A_NODE (96u << 10)
#define ORACLE_TURNS_S 20000         /* of one node within a second: its deadlines do not move on */
#define ORACLE_NODE_BYTES (8u << 20) /* memory of a node of a mesh of this size */

struct oracle_node {
    uint64_t checked_us;
    uint64_t learnt_run; /* whose nonce is known */
    uint64_t second, bytes[10];
    uint64_t turns_second, n_turns;     /* in that second */
    uint64_t told_generation, told_seq; /* of this key, highest */
    uint32_t n_old_disks;               /* known when they were told */
    uint64_t revoked_run;
    uint32_t n_revoked; /* revocations that it had in that run */
    struct node_id key;
};

struct oracle_view { /* what a node has seen of a key: never goes back within a run */
    uint64_t run;
    struct gossip_boot boot, ad_boot;
    uint32_t incarnation, ad_version;
    uint64_t record_seq;
};

struct oracle {
    struct world *w;
    uint64_t period_us; /* between two looks into a node */
    struct oracle_node *nodes;
    struct tally sealed;   /* (run, index) -> next counter that may seal */
    struct tally credit;   /* (run, address) -> bytes that INITs brought less those answered */
    struct tally attempts; /* (job, task, attempt) -> started */
    struct tally nonces;   /* (key, nonce) -> was in a certificate of it */
    struct tally view_at;  /* (viewer, key) -> index into views, + 1 */
    struct tally seqs;     /* (run, record) -> its seq, as held */
    struct oracle_view *views;
    size_t n_views, views_capacity;
    uint64_t n_looks, n_packets, most_bytes; /* of one node within 10 s */
};

void oracle_begin(struct oracle *o, struct world *w);
void oracle_done(struct oracle *o);

/* For the world; nothing is done where no oracle is. */
void oracle_on_start(struct world *w, struct world_node *n);
void oracle_on_turn(struct world *w, struct world_node *n);
void oracle_on_send(struct world *w, const struct world_node *from, const struct addr *to,
                    struct slice packet);
void oracle_on_datagram(struct world *w, const struct world_node *to, const struct addr *from,
                        struct slice packet);
void oracle_on_spawn(struct world *w, struct world_node *n, uint64_t attempt);

/* Is this its nonce, by the certificate it has now, or without an oracle: for dht_tap.c. */
bool oracle_knows_nonce(struct world *w, const struct node_id *id, const uint8_t nonce[16]);

/* oracle_work.c, of a look */
void oracle_look_work(struct oracle *o, struct world_node *n);

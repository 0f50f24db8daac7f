/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Hostile input to a whole node, in process. Node 0 of a simulated world is the victim. Some
 * members have gone mad: their certificates, sessions and links are real, what they say inside is
 * mutated before it is sealed. Strangers and local clients send the rest from outside.
 *
 *   hostile.c          the run and its verdict
 *   hostile_tap.c      what honest traffic looks like: pools that mutation starts from. Calls of
 *                      the node and the world are tapped by the linker (--wrap), so that the node
 *                      under test is the very object that ships
 *   hostile_inside.c   members gone mad
 *   hostile_outside.c  strangers and local clients
 *
 * Invariant: same seed, same inputs.
 */
#include "tests/sim/world.h"

#define HOSTILE_VICTIM 0
#define HOSTILE_HONEST 1
#define HOSTILE_MAD_FIRST 2
#define HOSTILE_MAD 6 /* nodes 2..7 */
#define HOSTILE_LATE (HOSTILE_MAD_FIRST + HOSTILE_MAD)
#define HOSTILE_NODES (HOSTILE_LATE + 1)
#define HOSTILE_BYTES_MAX 2048 /* longest sample kept */
#define HOSTILE_POOL 512
#define HOSTILE_CONNS 48
#define HOSTILE_STRANGERS 64

struct sample { /* something that was really said */
    uint8_t type;
    size_t len;
    uint8_t bytes[HOSTILE_BYTES_MAX];
};

struct pool { /* the newest replace the others at random */
    struct sample samples[HOSTILE_POOL];
    size_t n;
};

struct stranger { /* an address that is no member's */
    struct addr addr;
    bool is_without_gate; /* never sent a packet that could have a right mac1 */
    uint64_t in, out;     /* bytes to the victim, and from it */
};

enum hostile_conn_kind { HOSTILE_CONN_STRANGER, HOSTILE_CONN_REPLAY, HOSTILE_CONN_LOCAL };

struct hostile_conn {
    enum hostile_conn_kind kind;
    uint32_t id;       /* 0: free */
    bool is_malformed; /* what a local client sent cannot be understood */
    bool is_writable;  /* the victim's write is to be reported out */
    uint64_t in, out, since_us;
    struct link *link; /* the client's half of a local connection */
    uint32_t stream;
};

struct hostile {
    struct world w;
    struct rng rng;
    bool is_mutating;     /* mad members' own traffic is altered too */
    bool is_direct;       /* what is said now is an input of ours: taps look away */
    struct pool bodies;   /* messages of sessions, by type */
    struct pool messages; /* framed messages of streams */
    struct pool packets;  /* datagrams to the victim */
    struct pool inits;    /* those of them that open a session */
    struct pool hellos;   /* first bytes of links to the victim */
    struct stranger strangers[HOSTILE_STRANGERS]; /* the first half is without gate */
    struct hostile_conn conns[HOSTILE_CONNS];
    struct link_context local_context;
    struct mem local_mem;
    uint64_t n_inside_session, n_inside_link, n_inside_traffic, n_outside_datagram, n_outside_conn,
        n_local;
    uint64_t n_answers_without_gate, n_amplified, n_stranger_answers;
    uint64_t n_local_malformed, n_local_closed, n_local_answered;
};

extern struct hostile hostile; /* taps have no argument of their own */

/* hostile_tap.c */
void pool_put(struct pool *p, uint8_t type, struct slice bytes);
const struct sample *pool_get(const struct pool *p); /* NULL: empty */
/* A few of: bits, bytes, lengths, pieces cut out, doubled, swapped. Returns the new length. */
size_t mutate(uint8_t *bytes, size_t len, size_t max);
bool is_mad(const struct world_node *n);

/* hostile_inside.c: one input of a mad member. */
void inside_step(void);

/* hostile_outside.c */
void outside_init(void);
void outside_step(void);
void outside_done(void); /* ends all connections */
void outside_turn(void); /* reports writes out, ages connections */
bool outside_on_udp(const struct addr *to, struct slice bytes);
bool outside_on_write(uint32_t conn, struct slice bytes);
bool outside_on_close(uint32_t conn);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Members that do not play by the rules (overlay section 7): whole nodes with good certificates,
 * whose words are altered where their DHT hands them out (dht_tap.c), before a session seals them
 * or on their way (adversary_wire.c). They are so from begin to end; what the others must show is
 * the same as without them.
 */
#include "node/handshake.h"
#include "tests/sim/world.h"

enum adversary {
    ADVERSARY_NONE,
    ADVERSARY_SILENT,     /* never answers the DHT */
    ADVERSARY_SLOW,       /* answers every third question only */
    ADVERSARY_EMPTY,      /* answers that it knows nobody */
    ADVERSARY_NONCE_LIAR, /* tells contacts with nonces that are not theirs */
    ADVERSARY_INVENTOR,   /* tells of nodes beside the target that do not exist */
    ADVERSARY_COLLUDER,   /* tells of other adversaries only */
    ADVERSARY_GARBAGE,    /* stores broken records */
    ADVERSARY_ACCUSER,    /* probes nobody, so that it accuses all */
    ADVERSARY_FLOODER,    /* says all of the DHT ten times */
    ADVERSARY_LATE,       /* each packet of it is late */
    ADVERSARY_REPLAYER,   /* says again, to whomever, what it said before */
    ADVERSARY_N
};
#define ADVERSARY_BIT(a) (UINT32_C(1) << (a))

struct adversary_class {
    const char *name, *what;
    /* Of an answer: false: it is not sent. `body` has room for DHT_BODY_MAX bytes. */
    bool (*alter)(struct world_node *n, struct dht_action *a, uint8_t *body);
    /* Of a message to be sealed: how often that is done. NULL: once. `body` as above. */
    unsigned (*say)(struct world_node *n, struct handshake_message *m, uint8_t *body);
    uint64_t late_us; /* of its packets */
};
extern const struct adversary_class adversary_classes[];

/* "all", "none", or names with commas. False: unknown name. */
bool adversaries_parse(const char *text, uint32_t *ret_bits);
void adversaries_print(uint32_t bits, char *text, size_t size);
/* From the last node down; nodes 0 and 1 stay honest, and at least half of all. */
void adversaries_begin(struct world *w, uint32_t bits);
/* False: the action is swallowed. */
bool adversary_alters(struct world_node *n, struct dht_action *a);

/* adversary_wire.c */
void adversary_wire_begin(struct world *w); /* to the end of the run */
void adversary_wire_end(void);
unsigned adversary_garbage(struct world_node *n, struct handshake_message *m, uint8_t *body);
unsigned adversary_accuse(struct world_node *n, struct handshake_message *m, uint8_t *body);
unsigned adversary_replay(struct world_node *n, struct handshake_message *m, uint8_t *body);
unsigned adversary_flood(struct world_node *n, struct handshake_message *m, uint8_t *body);

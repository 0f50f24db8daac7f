/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Members that do not play by the rules (overlay section 7): whole nodes with good certificates,
 * whose words are altered where their DHT hands them out (dht_tap.c). They are so from begin to
 * end; what the others must show is the same as without them.
 */
#include "tests/sim/world.h"

enum adversary {
    ADVERSARY_NONE,
    ADVERSARY_SILENT,     /* never answers the DHT */
    ADVERSARY_SLOW,       /* answers every third question only */
    ADVERSARY_EMPTY,      /* answers that it knows nobody */
    ADVERSARY_NONCE_LIAR, /* tells contacts with nonces that are not theirs */
    ADVERSARY_INVENTOR,   /* tells of nodes beside the target that do not exist */
    ADVERSARY_N
};
#define ADVERSARY_BIT(a) (UINT32_C(1) << (a))

struct adversary_class {
    const char *name, *what;
    /* Of an answer: false: it is not sent. `body` has room for DHT_BODY_MAX bytes. */
    bool (*alter)(struct world_node *n, struct dht_action *a, uint8_t *body);
};
extern const struct adversary_class adversary_classes[];

/* "all", "none", or names with commas. False: unknown name. */
bool adversaries_parse(const char *text, uint32_t *ret_bits);
void adversaries_print(uint32_t bits, char *text, size_t size);
/* From the last node down; nodes 0 and 1 stay honest, and at least half of all. */
void adversaries_begin(struct world *w, uint32_t bits);
/* False: the action is swallowed. */
bool adversary_alters(struct world_node *n, struct dht_action *a);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The coats that this node would need to come back: of few peers where their links wear one, for a
 * node behind a firewall that lets nothing else pass. Filled from its ticket and by links that came
 * up over a coat; saved, so that a restart finds somebody. Of members gossip knows it better.
 *
 * Invariant: at most COATS_MAX, newest first, no peer twice, every address one that can be dialled.
 * Saved form: an array of [pk, address]. Pure; callers: dials.c, join.c, node.c.
 */
#include "base/addr.h"
#include "base/id.h"

#define COATS_MAX 8 /* one would do; each costs a dial at the next start */
#define COATS_SAVE_MAX (1 + COATS_MAX * (1 + 34 + 1 + ADDR_WIRE_MAX))

struct coat {
    struct node_id id;
    struct addr addr;
};

struct coats {
    unsigned n;
    struct coat all[COATS_MAX];
};

/* Puts it first; the oldest gives way. True if that changed anything. */
bool coats_put(struct coats *c, const struct node_id *id, const struct addr *addr);
/* NULL: none known. */
const struct addr *coats_find(const struct coats *c, const struct node_id *id);

void coats_encode(const struct coats *c, struct writer *w);
/* Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err coats_decode(struct slice saved, struct coats *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What one peer may make us hold: bytes, tasks, streams.
 *
 * A `struct quota` stands for a peer, a `struct quota_charge` is embedded in
 * whatever was made on that peer's account. Done with the object, its charge is
 * returned, whichever way it ends: nothing else keeps the sums. A quota may
 * have a parent (all peers together); a charge counts in both or in neither.
 *
 * Invariant: used[k] is the sum of all charges of kind k at and below this quota;
 * no charge brings it over limit[k]. A quota outlives its charges and children.
 * After dbus-broker's util/user.h.
 */
#include "base/base.h"

enum quota_kind { QUOTA_BYTES, QUOTA_TASKS, QUOTA_STREAMS, QUOTA_N_KINDS };

#define QUOTA_DEPTH_MAX 4 /* node > peer > session > stream: deeper is a cycle by mistake */

struct quota {
    struct quota *parent; /* NULL at the top */
    uint64_t limit[QUOTA_N_KINDS];
    uint64_t used[QUOTA_N_KINDS];
    uint32_t n_users; /* live charges here and child quotas */
};

struct quota_charge {
    struct quota *quota; /* NULL: charges nothing */
    enum quota_kind kind;
    uint64_t amount;
};

#define QUOTA_CHARGE_INIT ((struct quota_charge){.quota = NULL})

/* `parent` NULL for none; limits in the order of enum quota_kind. */
void quota_init(struct quota *q, struct quota *parent, const uint64_t limit[static QUOTA_N_KINDS]);
/* Asserts that all was returned. A zeroed or done quota is allowed. */
void quota_done(struct quota *q);
/* New limits; what is charged already stays, even beyond them. */
void quota_set_limit(struct quota *q, enum quota_kind kind, uint64_t limit);
/* What may still be charged here: the least of the quota and its parents. */
uint64_t quota_left(const struct quota *q, enum quota_kind kind);

/* Charges `amount`; `charge` must hold nothing. Conditions: IPX_LIMIT (nothing was charged). */
IPX_MUST_USE enum ipx_err quota_charge(struct quota *q, struct quota_charge *charge,
                                       enum quota_kind kind, uint64_t amount);
/* The object grew or shrank: the charge becomes `amount`. Conditions: IPX_LIMIT (unchanged). */
IPX_MUST_USE enum ipx_err quota_charge_resize(struct quota_charge *charge, uint64_t amount);
/* Gives it back; a charge that holds nothing is allowed, so a destructor needs no question. */
void quota_charge_return(struct quota_charge *charge);

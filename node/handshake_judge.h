/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an INIT or a RESP that was read is worth: version, chain, revocation and t,
 * in this order (overlay 1.3), by the same rules for sessions and links.
 *
 * Invariant: a last value is only moved by an INIT whose chain was verified, so
 * that a holder of the gate key alone can neither spoil nor fill the last values.
 */
#include "node/chains.h"
#include "node/clocks.h"
#include "node/handshake.h"

struct handshake_judge { /* borrowed for the call */
    const struct handshake_self *self;
    struct chains *chains;
    struct clocks *clocks; /* one a plane */
    int64_t wall_ms;
};

struct handshake_verdict {
    bool has_facts; /* false of a ticket */
    struct cert_facts facts;
};

/* Fills version, suite, status and what belongs to the status; chain, observed address and answer
 * are the caller's. Only status ok has a verdict. A ticket is looked at (form, mesh, time), its
 * issuer's signature is checked with ADMIT: such a session may say nothing else. */
void handshake_judge_init(const struct handshake_judge *j, const struct handshake_call *call,
                          struct handshake_resp *ret_resp, struct handshake_verdict *ret);

/* Conditions: IPX_NEED_CHAIN (they want ours, or we theirs: show the chain; where it was shown, the
 * admitter's is missing: a link carries it), IPX_CLOCK (noted: try again once), IPX_REVOKED,
 * IPX_BUSY, IPX_VERSION, IPX_CONFLICT (another peer's chain); a refusal by the peer as it said it;
 * those of chains_put. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err handshake_judge_resp(const struct handshake_judge *j,
                                               const struct handshake_dial *d,
                                               const struct handshake_reply *reply,
                                               struct cert_facts *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What signed statements do to members (overlay 3.2): alive and leave of the subject,
 * accusations of others with one vote each, the suspicion timer, refutation.
 *
 * Invariant: only a suspicion timer that ran out here, followed by a failed probe of our own,
 * makes a member dead here. A node's own newer `alive` always clears it. Incarnations are made
 * by their owner alone.
 */
#include "gossip/pending.h"

/* Suspicion lasts at least alpha * log10(N) seconds and at most beta times that; each of the
 * k confirmations brings it nearer to the minimum (Lifeguard). */
#define GOSSIP_SUSPICION_ALPHA 3
#define GOSSIP_SUSPICION_BETA 6
#define GOSSIP_SUSPICION_K 2
#define GOSSIP_ACCUSE_BURST 32 /* accusations by one accuser, then one a half second */
#define GOSSIP_ACCUSE_REFILL_US (500 * US_PER_MS)
#define GOSSIP_TELL_ACCUSED_US US_PER_S /* an accused that writes to us is told this often */

/* Own alive anew: a higher incarnation, signed, queued. */
void gossip_verdict_announce(struct gossip *g, uint64_t now_us);
void gossip_verdict_leave_self(struct gossip *g, uint64_t now_us);
/* Items of others; `from` is whom they came from. Bad ones are counted and dropped. */
void gossip_verdict_alive(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                          const struct gossip_peer *from);
void gossip_verdict_claim(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                          const struct gossip_peer *from);
/* An alive whose chain is known. `facts` NULL: the member's chain is unchanged. */
void gossip_verdict_apply(struct gossip *g, uint64_t now_us, const struct gossip_alive *alive,
                          struct slice item, const struct cert_facts *facts, struct slice chain,
                          uint16_t from_slot);
/* Our own probe failed: accuse. */
void gossip_verdict_suspect(struct gossip *g, uint64_t now_us, struct gossip_member *m);
/* The last probe before the verdict: answered or not. */
void gossip_verdict_final(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                          bool has_answered);
/* Not by accusation: expired or shut out. */
void gossip_verdict_end(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                        enum gossip_reason reason);
/* A member whom we hold suspect or dead wrote to us: it must hear it to refute it. */
void gossip_verdict_tell(struct gossip *g, uint64_t now_us, struct gossip_member *m);
/* Dead by accusation, and for less than GOSSIP_DEAD_TOLD_US. */
bool gossip_member_died_lately(const struct gossip *g, const struct gossip_member *m);
void gossip_verdict_tick(struct gossip *g, uint64_t now_us);
/* After a pause of this process: time we did not live does not count against others. */
void gossip_verdict_delay(struct gossip *g, uint64_t late_us);
uint64_t gossip_verdict_deadline(const struct gossip *g);

/* log10(n) in thousandths, at least 1000. */
uint32_t gossip_log10_milli(uint32_t n);
/* How long a suspicion lasts with this many confirmations in a zone of n live members. */
uint64_t gossip_suspicion_us(uint32_t n_live, unsigned n_confirmations);

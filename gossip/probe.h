/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Failure detector: one member a second is pinged, in shuffled rounds; then three others are
 * asked to; then it is accused (SWIM with Lifeguard's local health, overlay 3.2).
 *
 * Invariant: a probe in flight has a req_id of its own and a deadline; at most one *round* probe
 * at a time, at most one of each reason a target. `health` 0..8: how much we doubt ourselves;
 * interval and timeouts are multiplied by health + 1. Slow timers of other modules ride on
 * the probe tick, so that an idle node wakes once a second.
 */
#include "gossip/outbox.h"

struct gossip;

#define GOSSIP_PROBE_INTERVAL_US US_PER_S
#define GOSSIP_PROBE_TIMEOUT_MIN_US (100 * US_PER_MS)
#define GOSSIP_PROBE_TIMEOUT_MAX_US (500 * US_PER_MS)
#define GOSSIP_PROBE_WITNESSES 3
#define GOSSIP_PROBE_NACK_US (200 * US_PER_MS) /* a witness says "not yet" after this at most */
#define GOSSIP_PROBE_HEALTH_MAX 8
#define GOSSIP_PROBE_FINAL_TRIES 3              /* pings before a verdict */
#define GOSSIP_PROBE_FINAL_US (200 * US_PER_MS) /* between them at most */
#define GOSSIP_PROBES_MAX 32 /* in flight: own round, witness and final probes, relayed ones */
#define GOSSIP_PROBE_RELAYS_MAX 16        /* of these for others */
#define GOSSIP_PROBE_CONFIRMERS 4         /* members that on hearsay look for themselves at once */
#define GOSSIP_STALL_US (500 * US_PER_MS) /* a tick this late: we were asleep */
#define GOSSIP_STALL_LONG_US US_PER_S     /* and long enough to be suspected */
#define GOSSIP_REVISIT_US (10 * US_PER_S) /* between looks at one of the dead */

/* INDIRECT of a relayed probe: the nack is sent, an ack would still be passed on. */
enum gossip_probe_state { GOSSIP_PROBE_IDLE, GOSSIP_PROBE_DIRECT, GOSSIP_PROBE_INDIRECT };
extern const struct sm_table gossip_probe_table;

enum gossip_probe_why {
    GOSSIP_PROBE_ROUND,
    GOSSIP_PROBE_WITNESS,
    GOSSIP_PROBE_FINAL,
    GOSSIP_PROBE_REVISIT,
    GOSSIP_PROBE_RELAY
};

struct gossip_probe {
    uint8_t state; /* enum gossip_probe_state */
    uint8_t why;
    uint8_t n_asked, n_nacks;
    uint8_t n_tries; /* FINAL: pings sent */
    uint16_t slot;
    uint32_t req_id;
    uint64_t sent_us, due_us;
    uint16_t witnesses[GOSSIP_PROBE_WITNESSES]; /* n_asked slots */
    struct node_id target;                      /* the slot might be another's by now */
    struct gossip_peer origin;                  /* RELAY: who asked */
    uint32_t origin_req;
};

struct gossip_prober {
    struct gossip_probe probes[GOSSIP_PROBES_MAX];
    uint64_t next_us;  /* next round */
    uint64_t round_us; /* the present one began */
    uint64_t revisit_us;
    uint32_t req_id;
    uint16_t urgent;        /* slot to probe in the next round; GOSSIP_NO_SLOT */
    bool is_next_neighbour; /* the round after this goes to the next in key order */
    uint8_t health;
    uint8_t n_skipped; /* ticks since the last round: health + 1 of them make an interval */
    uint16_t n_doubted;
    uint32_t srtt_us, rttvar_us; /* of all members: for those not measured yet */
};

void gossip_probe_init(struct gossip *g);
/* Somebody is there to be probed: start the clock. */
void gossip_probe_wake(struct gossip *g, uint64_t now_us);
void gossip_probe_recv_ping(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                            uint32_t req_id, const struct gossip_msg *m);
void gossip_probe_recv_ack(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                           uint32_t req_id);
void gossip_probe_recv_nack(struct gossip *g, const struct gossip_peer *from, uint32_t req_id);
void gossip_probe_recv_ping_req(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                                uint32_t req_id, const struct gossip_msg *m);
/* Starts one of this reason unless one is in flight. False: no room. */
bool gossip_probe_start(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                        enum gossip_probe_why why);
/* Somebody accuses it: the members after it in key order look at once, and a few by chance in
 * their next round, so that a true accusation has its confirmations within a second. */
void gossip_probe_hearsay(struct gossip *g, uint64_t now_us, struct gossip_member *m);
/* Who is accused stood next to us in key order: the one behind it has lost who looked at it, maybe
 * with many others at the same moment, so it is looked at now. */
void gossip_probe_step_in(struct gossip *g, uint64_t now_us, const struct gossip_member *accused);
/* One of the dead is said to live, or is no longer in doubt. */
void gossip_probe_doubt(struct gossip *g, struct gossip_member *m);
void gossip_probe_undoubt(struct gossip *g, struct gossip_member *m);
void gossip_probe_tick(struct gossip *g, uint64_t now_us);
uint64_t gossip_probe_deadline(const struct gossip *g);
/* Ends or escalates what timed out. */
void gossip_probe_expire(struct gossip *g, uint64_t now_us);
void gossip_probe_health(struct gossip *g, int change);
/* Between the pings of a last look: an answer to the first has the time of all of them. */
uint64_t gossip_probe_final_us(const struct gossip *g, const struct gossip_member *m);
uint64_t gossip_probe_timeout_us(const struct gossip *g, const struct gossip_member *m);
void gossip_probe_check(const struct gossip *g);

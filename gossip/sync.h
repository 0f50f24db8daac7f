/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Anti-entropy: two nodes compare 64 salted XOR digests, then versions of the buckets that
 * differ, then exchange what one of them lacks (overlay 3.3). Never the full state.
 *
 * When: every 10 s with a random member; at once after a join, and again, quickly, while a
 * digest differs; and after each news twice with the next ones in key order, so that whoever a
 * rumour missed is reached by its neighbours. Members held dead are not in the digest.
 */
#include "gossip/outbox.h"

struct gossip;

#define GOSSIP_SYNC_INTERVAL_US (10 * US_PER_S)
#define GOSSIP_SYNC_AGAIN_US (200 * US_PER_MS)  /* while digests differ */
#define GOSSIP_SYNC_FOLLOW_US (350 * US_PER_MS) /* after news */
#define GOSSIP_SYNC_FOLLOWS 2
#define GOSSIP_SYNC_QUICK_MAX 12       /* quick ones in a row before they slow down */
#define GOSSIP_SYNC_ANSWER_US US_PER_S /* no answer: another is asked */
#define GOSSIP_SYNC_JOIN_TRIES 30      /* a first contact that does not answer */
#define GOSSIP_SYNC_CALM_N 128         /* above this many members follow-ups are rarer */
#define GOSSIP_SYNC_DIFFS_MAX 8        /* packets of versions an exchange */
#define GOSSIP_SYNC_JOBS 4             /* exchanges that we answer at once */
#define GOSSIP_SYNC_ASKED 4            /* exchanges of ours whose answer may still come */
#define GOSSIP_SYNC_PEERS 64           /* receivers of pushes at once */
#define GOSSIP_SYNC_PUSHES_STEP 32     /* first size of the list of pushes; it doubles up to */
#define GOSSIP_SYNC_PUSHES_MAX 1024    /* members and documents waiting to be pushed */
#define GOSSIP_SYNC_PUSH_BURST 128     /* packets, then one each */
#define GOSSIP_SYNC_PUSH_REFILL_US 250 /* of 1.1 kB: 4 MB a second at most */

struct gossip_diff_job {
    struct gossip_peer to;
    uint32_t req_id;
    uint64_t mask, low; /* buckets; the next prefix */
    uint8_t n_packets;
    bool is_docs, is_used;
};

struct gossip_push {
    uint64_t prefix; /* of the document (GOSSIP_WANT_DOC), else */
    uint16_t slot;   /* of the member */
    uint8_t want;    /* enum gossip_want bits */
    uint8_t peer;    /* index in peers */
};

struct gossip_push_peer {
    struct gossip_peer peer;
    uint32_t n; /* pushes that name it; 0: free */
};

struct gossip_sync {
    uint64_t next_us;
    uint8_t n_follows; /* follow-ups to do */
    uint8_t n_follow;  /* which successor is next */
    uint8_t n_quick;
    uint64_t last_us;        /* the last was sent */
    struct gossip_peer join; /* asked again each second until it is a member here */
    uint8_t n_join;          /* tries left */
    struct gossip_asked {
        struct node_id id;
        uint32_t req_id;
        uint64_t due_us; /* NEVER_US: answered or unused */
    } asked[GOSSIP_SYNC_ASKED];
    uint8_t next_asked;
    struct gossip_diff_job jobs[GOSSIP_SYNC_JOBS];
    struct gossip_push_peer peers[GOSSIP_SYNC_PEERS];
    struct gossip_push *pushes; /* in order */
    uint32_t n_pushes, pushes_cap;
    struct gossip_bucket push_bucket;
};

void gossip_sync_init(struct gossip *g);
void gossip_sync_done(struct gossip *g);
/* Something changed that others may lack. */
void gossip_sync_news(struct gossip *g, uint64_t now_us);
/* Tells a first contact who we are and compares; repeated until it answers. */
void gossip_sync_join(struct gossip *g, uint64_t now_us, const struct gossip_peer *to);
void gossip_sync_start(struct gossip *g, uint64_t now_us, const struct gossip_peer *to);
void gossip_sync_recv_digest(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                             uint32_t req_id, const struct gossip_msg *m);
void gossip_sync_recv_diff(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                           uint32_t req_id, const struct gossip_msg *m);
void gossip_sync_recv_pull(struct gossip *g, const struct gossip_peer *from,
                           const struct gossip_msg *m);
/* Queues what `want` says of a member for a peer; drops it when full. */
void gossip_sync_push(struct gossip *g, const struct gossip_peer *to, uint16_t slot, unsigned want);
void gossip_sync_push_doc(struct gossip *g, const struct gossip_peer *to, uint64_t prefix);
/* Queues the list of versions in the buckets of `mask`. */
void gossip_sync_answer(struct gossip *g, const struct gossip_peer *to, uint32_t req_id,
                        uint64_t mask, bool is_docs);
void gossip_version_of(const struct gossip_member *m, struct gossip_version *ret);
/* The slot is about to be freed. */
void gossip_sync_forget(struct gossip *g, uint16_t slot);
/* Writes the next waiting DIFF or push. */
bool gossip_sync_poll(struct gossip *g, struct gossip_peer *ret_to, uint8_t *ret_type,
                      uint32_t *ret_req_id, struct slice *ret_body);
/* `is_slow`: on the probe tick; else only what cannot wait. */
void gossip_sync_tick(struct gossip *g, uint64_t now_us, bool is_slow);
uint64_t gossip_sync_deadline(const struct gossip *g);
void gossip_sync_digest(const struct gossip *g, const uint8_t salt[static GOSSIP_SALT_LEN],
                        uint8_t ret[static GOSSIP_DIGEST_LEN]);
void gossip_sync_doc_digest(const struct gossip *g, const uint8_t salt[static GOSSIP_SALT_LEN],
                            uint8_t ret[static GOSSIP_DOC_DIGEST_LEN]);
void gossip_sync_check(const struct gossip *g);
void gossip_sync_marks_check(const struct gossip *g);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gossip: who is in the zone, how they are, and what each can do (overlay section 3).
 *
 * The face of the folder, for the node layer, which owns sessions and links. A core: inputs
 * take the time, what is to be done comes out of gossip_poll(), nothing calls out. After each
 * input drain gossip_poll() until it is false, then arm one timer for gossip_deadline().
 *
 * Invariant: every member shown has a verified chain (the node layer verified it) and a signed
 * `alive`; nobody is reported down but by its own `leave`, by a suspicion that ran out here with
 * a failed probe of our own, by the end of its certificate, or by gossip_bar(). Reports of
 * one member alternate: UP, (SUSPECT, UP)*, DOWN.
 */
#include "base/trace.h"
#include "gossip/ads.h"
#include "gossip/docs.h"
#include "gossip/probe.h"
#include "gossip/sync.h"
#include "gossip/verdict.h"

struct gossip_config {
    const struct cert_facts *self;   /* copied */
    struct slice chain;              /* own certificate chain; copied */
    const struct crypt_keypair *key; /* must outlive the object */
    struct mesh_id mesh;
    struct gossip_boot boot;  /* on disk already: generation above all earlier ones of this key */
    const struct addr *addrs; /* where we can be reached, best first; copied */
    unsigned n_addrs;         /* <= GOSSIP_ADDRS_MAX */
    struct addr coat;         /* where our links wear a coat; ADDR_NONE: nowhere */
    uint32_t capacity;        /* members, self included; 0: 1,024 */
    struct mem *mem;
    const struct trace *trace; /* NULL allowed */
    const struct rng *rng;     /* its stream is split off, "gossip" */
    uint64_t now_us;
};
#define GOSSIP_CAPACITY 1024            /* soft size of a zone (overlay 3.1) */
#define GOSSIP_ASK_US (250 * US_PER_MS) /* between questions to strangers who they are */
#define GOSSIP_KEEP_US (10 * US_PER_S)  /* housekeeping: tombstones, certificates, documents */

struct gossip_stats {
    uint64_t n_recv, n_malformed, n_refused, n_sent, bytes_sent, n_ticks;
    uint64_t n_suspicions, n_deaths, n_refutes, n_stalls;
};

struct gossip_target { /* a receiver of the present round of spreading */
    uint16_t slot;
    uint8_t n_packets;
};

struct gossip {
    struct mem *mem;
    const struct trace *trace;
    const struct crypt_keypair *key;
    struct mesh_id mesh;
    struct rng rng;
    struct gossip_members members;
    struct gossip_spread spread;
    struct gossip_target targets[GOSSIP_SPREAD_FANOUT];
    uint64_t round_us; /* the last round of spreading; 0: none yet */
    uint16_t present_target;
    bool is_round_new;
    struct gossip_prober prober;
    struct gossip_pending pending;
    struct gossip_sync sync;
    struct gossip_docs docs;
    struct gossip_outbox out;
    struct gossip_stats stats;
    struct gossip_member *self; /* slot 0 */
    uint64_t now_us;            /* of the present or last input */
    uint64_t heard_us;          /* anybody, last */
    int64_t wall_ms;            /* 0: not told yet */
    uint64_t wall_at_us;
    uint64_t asked_us; /* a stranger was asked last */
    uint64_t keep_us;
    struct ad *ad_next; /* own ad that waits for its turn */
    uint64_t ad_next_us;
    struct gossip_vitals vitals_told; /* own, as spread last */
    uint64_t vitals_told_us;
    struct gossip_bucket edge_bucket;
    struct gossip_boot clone; /* a higher boot of our own key */
    bool has_clone, is_clone_news;
    uint64_t suspect_next_us; /* the first suspicion that ends */
    struct list news;         /* members with something for poll, in order */
};

enum gossip_action_type {
    GOSSIP_ACTION_SEND = 1,
    GOSSIP_ACTION_MEMBER_UP,
    GOSSIP_ACTION_MEMBER_SUSPECT,
    GOSSIP_ACTION_MEMBER_DOWN,
    GOSSIP_ACTION_AD_CHANGED,
    GOSSIP_ACTION_VITALS_CHANGED,
    GOSSIP_ACTION_NEED_CHAIN,
    GOSSIP_ACTION_FETCH_AD,
    GOSSIP_ACTION_DOC,
    GOSSIP_ACTION_CLONE
};

struct gossip_action {
    enum gossip_action_type type;
    union {
        struct { /* SEND: one message in the session with `to` (made if there is none) */
            struct gossip_peer to; /* addr may be ADDR_NONE: look it up */
            uint8_t type;
            uint32_t req_id;
            struct slice body;
        } send;
        const struct gossip_member *member; /* MEMBER_*, AD_CHANGED, VITALS_CHANGED */
        struct { /* NEED_CHAIN: verify, then gossip_on_chain or gossip_on_chain_failed */
            struct node_id id;
            struct slice chain;
            struct gossip_peer from;
        } chain;
        struct { /* FETCH_AD: a document too long for a packet; get it from `from` by a link,
                  * then gossip_on_doc */
            struct gossip_peer from;
            struct node_id id;
            struct gossip_boot boot;
            uint32_t version;
            struct hash hash;
        } fetch;
        struct { /* DOC: check it, then gossip_accept_doc */
            enum gossip_doc_kind kind;
            struct hash key;
            struct slice bytes;
            struct node_id from;
        } doc;
        struct gossip_boot clone; /* CLONE: our key runs elsewhere with this higher boot, or our
                                   * disk is old: stop, or gossip_set_boot if just started */
    } u;
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err gossip_init(struct gossip *g, const struct gossip_config *config);
void gossip_done(struct gossip *g);

/* --- inputs --- */
/* A session with this peer is up: tell it who we are and compare all at once. */
void gossip_on_join(struct gossip *g, uint64_t now_us, const struct gossip_peer *peer);
/* A message 32 to 47 in an established session; others and malformed ones are counted. */
void gossip_recv(struct gossip *g, uint64_t now_us, const struct cert_facts *from,
                 const struct addr *addr, uint8_t type, uint32_t req_id, struct slice body);
/* A link broke, or the network said unreachable: three witnesses look at once; no verdict. */
void gossip_on_link_broken(struct gossip *g, uint64_t now_us, const struct node_id *peer);
void gossip_on_unreachable(struct gossip *g, uint64_t now_us, const struct node_id *peer);
void gossip_on_clock(struct gossip *g, uint64_t now_us, int64_t wall_ms);
/* Answers to NEED_CHAIN. `chain` may be the slice of the action. */
void gossip_on_chain(struct gossip *g, uint64_t now_us, const struct cert_facts *facts,
                     struct slice chain);
void gossip_on_chain_failed(struct gossip *g, uint64_t now_us, const struct node_id *id);
/* Answer to FETCH_AD: what gossip_get_doc gave at the other side. Conditions: IPX_REFUSED. */
IPX_MUST_USE enum ipx_err gossip_on_doc(struct gossip *g, uint64_t now_us,
                                        const struct node_id *from, struct slice bytes);
void gossip_tick(struct gossip *g, uint64_t now_us);
uint64_t gossip_deadline(const struct gossip *g);
/* Slices and members in it are valid until the next call on g. */
bool gossip_poll(struct gossip *g, struct gossip_action *ret);

/* --- commands --- */
void gossip_set_ad(struct gossip *g, uint64_t now_us, struct ad *ad); /* takes a reference */
void gossip_set_vitals(struct gossip *g, uint64_t now_us, const struct gossip_vitals *v);
void gossip_set_addrs(struct gossip *g, uint64_t now_us, const struct addr *addrs, unsigned n,
                      uint64_t record_seq);
/* A renewed certificate, or a plain one after an admission. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err gossip_set_chain(struct gossip *g, uint64_t now_us,
                                           const struct cert_facts *facts, struct slice chain);
/* A higher boot, on disk already: the next generation after one heard at start. */
void gossip_set_boot(struct gossip *g, uint64_t now_us, const struct gossip_boot *boot);
/* Tells all; drain poll once more, then gossip_done. */
void gossip_leave(struct gossip *g, uint64_t now_us);
/* Shut out (revoked): down at once, and up again only by another chain (NEED_CHAIN). */
void gossip_bar(struct gossip *g, uint64_t now_us, const struct node_id *id);
/* Gives a redemption or revocation (<= GOSSIP_DOC_MAX) to everybody. Conditions: IPX_EXISTS,
 * IPX_FULL. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err gossip_spread_doc(struct gossip *g, uint64_t now_us,
                                            enum gossip_doc_kind kind, const struct hash *key,
                                            struct slice bytes);
/* The same, told before a restart: comparisons find it. */
IPX_MUST_USE enum ipx_err gossip_keep_doc(struct gossip *g, enum gossip_doc_kind kind,
                                          const struct hash *key, struct slice bytes);
/* Answer to DOC: keep and pass it on, or forget it. */
void gossip_accept_doc(struct gossip *g, uint64_t now_us, const struct hash *key, bool is_good);
/* A SPREAD body (type 36) for a packet that goes to `to` anyway; false if there is nothing. */
bool gossip_fill(struct gossip *g, uint64_t now_us, const struct node_id *to, struct writer *w);

/* --- queries --- */
const struct gossip_member *gossip_find(const struct gossip *g, const struct node_id *id);
const struct gossip_member *gossip_self(const struct gossip *g);
/* All others by slot (order of arrival), the gone too; NULL -> first; NULL at the end. */
const struct gossip_member *gossip_next(const struct gossip *g, const struct gossip_member *m);
uint32_t gossip_n_live(const struct gossip *g); /* self included */
/* Signed ad of a member, for links; the chain of a member. Empty if not held. */
struct slice gossip_get_doc(const struct gossip *g, const struct node_id *id);
struct slice gossip_get_chain(const struct gossip *g, const struct node_id *id);
/* "lab/name", or "lab/name-xxxx" where an earlier admitted live member has the same. */
#define GOSSIP_NAME_SIZE (CERT_LAB_MAX + 1 + CERT_SHOWN_SIZE)
void gossip_display_name(const struct gossip *g, const struct gossip_member *m,
                         char out[static GOSSIP_NAME_SIZE]);
void gossip_check(const struct gossip *g);

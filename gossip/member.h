/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The members of the zone: who they are, how they are, and the signed bytes that prove it.
 *
 * Invariant: a member is in exactly one slot, in `sorted` (by key) and in `map` (by key); its
 * facts come from a verified chain; (boot, incarnation) only rises; accusers are distinct and
 * accuse the present (boot, incarnation). Slot 0 is this node itself. A member stays at its
 * address until it is removed (24 h after it died or left, or to make room). Tables grow in
 * steps; a full one is a condition.
 */
#include "base/addr.h"
#include "base/cert.h"
#include "base/label.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/sm.h"
#include "gossip/spread.h"
#include "gossip/wire.h"

#define GOSSIP_MEMBERS_MAX 2048 /* hard limit of a zone (overlay 3.1) */
#define GOSSIP_MEMBERS_STEP 16  /* first size of the tables; they double */
#define GOSSIP_ACCUSERS_MAX 3   /* k + 1: the first and two confirmations (overlay 3.2) */
#define GOSSIP_TOMBSTONE_US (24 * 3600 * US_PER_S)
#define GOSSIP_DEAD_TOLD_US (30 * US_PER_S) /* the dead are gossiped to this long */
#define GOSSIP_SELF_SLOT 0

enum gossip_state {
    GOSSIP_STATE_ALIVE,
    GOSSIP_STATE_SUSPECT,
    GOSSIP_STATE_DEAD,
    GOSSIP_STATE_LEFT
};
extern const struct sm_table gossip_member_table;

enum gossip_reason {
    GOSSIP_REASON_NONE,
    GOSSIP_REASON_DEAD,
    GOSSIP_REASON_LEFT,
    GOSSIP_REASON_EXPIRED,
    GOSSIP_REASON_BARRED
};

struct gossip_bytes { /* owned */
    uint8_t *data;
    uint32_t len;
};

struct gossip_accuser {
    struct node_id id;
    struct gossip_bytes item; /* its signed suspect or dead */
    bool is_dead;
    struct gossip_spread_item spread;
};

struct gossip_bucket { /* tokens; filled on use */
    uint64_t filled_us;
    uint32_t tokens;
};

struct gossip_member {
    /* for readers */
    struct cert_facts facts;
    struct addr addr;                    /* where it was last heard; ADDR_NONE before */
    struct addr addrs[GOSSIP_ADDRS_MAX]; /* as it says itself */
    struct addr coat;                    /* where its links wear a coat; ADDR_NONE: nowhere */
    uint8_t n_addrs;
    uint8_t state;  /* enum gossip_state */
    uint8_t reason; /* enum gossip_reason, of DEAD and LEFT */
    struct gossip_boot boot;
    uint32_t incarnation;
    uint64_t record_seq;
    struct ad *ad; /* NULL: none seen yet */
    struct gossip_boot ad_boot;
    uint32_t ad_version;
    uint64_t ad_us; /* when this version was learnt */
    struct gossip_vitals vitals;
    uint64_t vitals_us;          /* 0: none heard in this boot */
    uint64_t heard_us;           /* last packet of itself */
    uint64_t changed_us;         /* state since */
    uint32_t srtt_us, rttvar_us; /* 0: not measured */
    uint32_t probes_lost;        /* the last direct probes, bit 0 the newest: 1 = no answer */
    uint8_t n_probes;            /* how many of the bits count, at most 32 */

    /* of the gossip modules */
    uint16_t slot;
    uint16_t news;         /* bits of what poll has to tell: enum gossip_news */
    struct list news_link; /* linked while there is news */
    uint8_t told;          /* state told last; GOSSIP_TOLD_NONE */
    uint8_t n_accusers;
    bool is_accused_by_self;
    bool is_excused; /* one failed probe was put down to our own network */
    bool is_doubted; /* dead here, said to live by another: look again */
    struct gossip_bytes chain, alive, leave, ad_item, vitals_item; /* items; chain: bare */
    struct gossip_accuser accusers[GOSSIP_ACCUSERS_MAX];
    struct gossip_spread_item spread_state, spread_ad, spread_vitals;
    uint64_t suspect_us;         /* suspicion began */
    uint64_t suspect_due_us;     /* and ends; NEVER_US */
    uint64_t told_accused_us;    /* it was told of an accusation last */
    uint64_t fetch_us;           /* its ad was asked for last */
    struct gossip_ad_note fetch; /* what of */
    uint16_t fetch_from;
    struct gossip_bucket ad_bucket, accuse_bucket;
};

/* STATE is always set with the others: poll compares `told` with the state. */
enum gossip_news {
    GOSSIP_NEWS_STATE = 1,
    GOSSIP_NEWS_AD = 2,
    GOSSIP_NEWS_VITALS = 4,
    GOSSIP_NEWS_FETCH = 8,
    GOSSIP_NEWS_BOOT = 16 /* restarted: UP is told again */
};
#define GOSSIP_TOLD_NONE UINT8_MAX

/* What walks over a full zone need of a member, side by side: digests, and who has its name. */
struct gossip_mark {
    uint32_t name;    /* gossip_member_name of its facts */
    uint8_t hash[16]; /* of key and version; made when a digest wants it */
    uint8_t bucket;
    bool is_live, is_stale;
};

struct gossip_members {
    struct mem *mem;
    struct rng *rng;
    struct gossip_member **slots; /* NULL where free */
    struct gossip_mark *marks;    /* of the slots */
    uint16_t *sorted;             /* n slots by key */
    uint16_t *ring;               /* n slots in shuffled order, for probes and spreading */
    uint32_t n, capacity, capacity_max;
    uint32_t counts[4]; /* by state, self included */
    struct map map;
    uint32_t ring_probe, ring_spread; /* positions in ring */
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err gossip_members_init(struct gossip_members *t, struct mem *mem,
                                              struct rng *rng, uint32_t capacity_max);
void gossip_members_done(struct gossip_members *t, struct gossip_spread *q);
struct gossip_member *gossip_members_find(const struct gossip_members *t, const struct node_id *id);
/* The one whose key begins so; NULL if none. */
struct gossip_member *gossip_members_prefix(const struct gossip_members *t, uint64_t prefix);
uint64_t gossip_prefix(const struct node_id *id);
/* Index in `sorted` of the first key whose prefix is >= `prefix`. */
uint32_t gossip_members_lower(const struct gossip_members *t, uint64_t prefix);
/* A member in state ALIVE without documents. Conditions: IPX_FULL (drop a tombstone first:
 * gossip_members_oldest_gone). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err gossip_members_insert(struct gossip_members *t,
                                                const struct cert_facts *facts,
                                                struct gossip_member **ret);
void gossip_members_remove(struct gossip_members *t, struct gossip_spread *q,
                           struct gossip_member *m);
struct gossip_member *gossip_members_oldest_gone(const struct gossip_members *t);
/* Slot order: NULL -> the first; NULL at the end. Includes self. */
struct gossip_member *gossip_members_next(const struct gossip_members *t,
                                          const struct gossip_member *after);
/* Live members (alive or suspect), self included. */
uint32_t gossip_members_live(const struct gossip_members *t);
bool gossip_member_is_live(const struct gossip_member *m);
/* Barred, and this is the certificate chain that it is barred with: another may be good. */
bool gossip_member_is_barred(const struct gossip_member *m, const struct hash *chain);
/* The nth live member after `m` in key order, wrapping; NULL if there is no other. */
struct gossip_member *gossip_members_successor(const struct gossip_members *t,
                                               const struct gossip_member *m, uint32_t nth);
/* Is `m` one of the first `n` live members after `of` in key order? */
bool gossip_members_follows(const struct gossip_members *t, const struct gossip_member *m,
                            const struct gossip_member *of, uint32_t n);
void gossip_members_check(const struct gossip_members *t);

void gossip_member_move(struct gossip_members *t, struct gossip_member *m, uint64_t now_us,
                        enum gossip_state to);
/* Equal names in equal labs have equal numbers. */
uint32_t gossip_member_name(const struct cert_facts *facts);
/* Its boot, incarnation, ad or certificate is another: digests are. */
void gossip_member_changed(struct gossip_members *t, const struct gossip_member *m);
/* Forgets all accusations. */
void gossip_member_acquit(struct gossip_members *t, struct gossip_spread *q,
                          struct gossip_member *m);
/* -1, 0, 1: what was said against what is known, by (boot, incarnation). */
int gossip_member_compare(const struct gossip_member *m, const struct gossip_boot *boot,
                          uint32_t incarnation);
/* Conditions: none. Fault: IPX_NO_MEMORY (the old bytes stay). */
IPX_MUST_USE enum ipx_err gossip_bytes_set(struct mem *mem, struct gossip_bytes *b, struct slice s);
void gossip_bytes_clear(struct mem *mem, struct gossip_bytes *b);
static inline struct slice gossip_bytes_slice(const struct gossip_bytes *b)
{
    return slice_of(b->data, b->len);
}
/* Takes a token: `burst` at first, one more each `refill_us`. False when there is none. */
bool gossip_bucket_take(struct gossip_bucket *b, uint64_t now_us, uint32_t burst,
                        uint64_t refill_us);

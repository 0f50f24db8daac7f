/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One iterative search towards a target (overlay 2.2), sans-I/O: no sockets, no
 * clock, no memory of its own beyond 256 candidates.
 *
 * Candidates are ordered by what they claim; only those which answered from their
 * certified position count for the end and are given back. A silent one is STALLED
 * after the soft timeout: its slot is free for the next, and there is one slot more; a
 * late answer still counts; after the hard one it is FAILED. Before a closest set ends, those
 * among its very nearest that stalled are asked a second time: else a single loss would hide
 * the very node that a record lies at. What one referrer named and never
 * answers is asked last, and then not at all. Of one foreign lab four count among the
 * nearest: certificates of one hand, however many, do not own a key.
 *
 * A search is bounded whatever the peers do: 256 candidates, 200 messages, 8 s.
 * Driven by dht.c (and by studies that compute tables instead of storing them).
 */
#include "base/cert.h"
#include "dht/wire.h"

#define LOOKUP_CANDIDATES_MAX 256
#define LOOKUP_PATHS_MAX 8
#define LOOKUP_ALPHA_MAX 8    /* slots of a path on which some are silent */
#define LOOKUP_ALPHA_LOCATE 5 /* three answers are enough: more slots find it no sooner */
#define LOOKUP_MESSAGES_MAX 200
#define LOOKUP_CAP_US (8 * US_PER_S)
#define LOOKUP_SOFT_US (400 * US_PER_MS) /* of a peer whose RTT is not known */
#define LOOKUP_HARD_US (2 * US_PER_S)
#define LOOKUP_GRACE_US (300 * US_PER_MS) /* after the first value: a higher seq may come */
#define LOOKUP_ASKS_MAX 2                 /* of one candidate: once more, never blindly again */
#define LOOKUP_ASK_AGAIN 2                /* nearest places in which a silent one is asked again */
#define LOOKUP_AGREE 3                    /* holders of one value that end the search for it */
#define LOOKUP_LIES_MAX 3                 /* unanswered contacts that discredit a referrer */
#define LOOKUP_LAB_MAX 4                  /* of the nearest set, of one foreign lab */
#define LOOKUP_LABS_MAX 32                /* told apart; those beyond count as the last */
#define LOOKUP_NONE UINT16_MAX

enum lookup_state {
    LOOKUP_NEW,      /* not asked yet */
    LOOKUP_WAITING,  /* asked, holds a slot */
    LOOKUP_STALLED,  /* silent past the soft timeout */
    LOOKUP_ANSWERED, /* from its certified position */
    LOOKUP_FAILED
};
extern const struct sm_table dht_lookup_candidate_table;

enum lookup_mode {
    LOOKUP_LOCATE,  /* ends when the r nearest live candidates answered */
    LOOKUP_CLOSEST, /* when all k nearest did */
    LOOKUP_VALUE    /* when 3 holders agree, or 300 ms after the first value, or as CLOSEST */
};

struct lookup_candidate {
    struct dht_contact contact;
    struct dht_pos pos;
    uint64_t sent_us;
    uint32_t soft_us;
    uint16_t referrer; /* candidate that named it; LOOKUP_NONE: a seed */
    uint8_t state;     /* enum lookup_state */
    uint8_t path;
    uint8_t n_asked;  /* times: two at most */
    uint8_t n_open;   /* of these, neither answered nor given up */
    uint8_t n_silent; /* of the contacts it named: stalled or failed */
    uint8_t n_true;   /* answered */
    uint16_t lab;     /* ANSWERED: of which foreign lab, a hash; 0: of ours */
    bool has_value;   /* gave the value that is counted */
    bool is_struck;   /* a strike against it is to be reported */
};

/* Else where it stands is learnt from its certificate. */
static inline bool lookup_is_pos_known(const struct lookup_candidate *c)
{
    return (c->contact.flags & DHT_FLAG_NO_NONCE) == 0;
}

struct lookup_config {
    struct mesh_id mesh;
    struct node_id self; /* never a candidate */
    struct dht_pos target;
    enum lookup_mode mode;
    uint8_t k, r;               /* width of the closest set; answers that LOCATE needs */
    uint8_t alpha, paths;       /* slots a path to begin with; disjoint paths, 1..8 */
    char lab[CERT_LAB_MAX + 1]; /* ours; "": every lab counts as ours */
};

struct lookup {
    struct lookup_config config;
    uint64_t now_us, started_us, value_us; /* value_us 0: none yet */
    uint64_t value_seq;
    uint16_t n, n_sent, n_struck;
    uint8_t n_agree;
    uint8_t next_path; /* where the next seed is dealt to */
    bool is_over, is_told;
    enum ipx_err status;
    uint8_t order[LOOKUP_CANDIDATES_MAX]; /* indices, nearest to the target first */
    struct lookup_candidate candidates[LOOKUP_CANDIDATES_MAX];
};

struct lookup_action {
    enum lookup_action_kind { LOOKUP_SEND, LOOKUP_STRIKE, LOOKUP_DONE } kind;
    uint16_t tx;                       /* SEND: names the candidate in later calls */
    const struct dht_contact *contact; /* SEND, STRIKE (who lied); until the next call */
    enum ipx_err status; /* DONE: IPX_OK, IPX_NOT_FOUND (nobody answered; VALUE: no value),
                            IPX_TIMEOUT and IPX_LIMIT (a cap ended it: what is known stands),
                            IPX_CLOSED (cancelled) */
};

void lookup_init(struct lookup *l, uint64_t now_us, const struct lookup_config *config);
/* Contacts to begin with, dealt to the paths in turn. Those with DHT_FLAG_NO_NONCE are asked first;
 * where they stand is learnt from their certificate. */
void lookup_seed(struct lookup *l, const struct dht_contact *contacts, size_t n);

/* How long to wait for this one before its slot is given to another. */
void lookup_set_soft(struct lookup *l, uint16_t tx, uint64_t soft_us);
/* It answered; `facts` are of the session the answer came by; the contacts have been judged by
 * guard.h. Conditions: IPX_REFUSED (certificate says another position than the contact: FAILED, the
 * referrer struck), IPX_STALE (over, or answered before). */
IPX_MUST_USE enum ipx_err lookup_on_reply(struct lookup *l, uint64_t now_us, uint16_t tx,
                                          const struct cert_facts *facts,
                                          const struct dht_contact *contacts, size_t n);
/* It also gave a valid value; called after lookup_on_reply returned IPX_OK. True: this is now the
 * best value, to be kept by the caller. */
bool lookup_on_value(struct lookup *l, uint64_t now_us, uint16_t tx, uint64_t seq);
/* A question to it was given up: it FAILED when this was the last one open. */
void lookup_on_fail(struct lookup *l, uint64_t now_us, uint16_t tx);
void lookup_tick(struct lookup *l, uint64_t now_us);
void lookup_cancel(struct lookup *l);
void lookup_finish(struct lookup *l); /* what was searched is found: ends with IPX_OK */

/* `may_send` false: only STRIKE and DONE (the caller has no room for another request now). */
bool lookup_poll(struct lookup *l, bool may_send, struct lookup_action *ret);
uint64_t lookup_deadline(const struct lookup *l);

/* Indices of the up to `max` nearest that answered, nearest first. */
size_t lookup_closest(const struct lookup *l, uint16_t *ret, size_t max);
/* Indices of the nearest live ones that have not answered: claims. */
size_t lookup_claims(const struct lookup *l, uint16_t *ret, size_t max);

/* Four of one foreign lab are counted among the nearest; with a fifth it is one hand too many
 * (overlay 2.5). Asked of those that answered, nearest first, each time with the same `v`. */
struct lookup_variety {
    uint8_t n;
    struct {
        uint16_t lab;
        uint8_t n;
    } labs[LOOKUP_LABS_MAX];
};
bool lookup_counts(struct lookup_variety *v, const struct lookup_candidate *c);

void lookup_check(const struct lookup *l);

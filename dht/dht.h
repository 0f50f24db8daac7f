/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The DHT: finds nodes and their records in the key space (overlay section 2).
 * The face of the folder; a pure core, driven by the node layer, which owns the
 * sessions and answers for the facts: whatever comes in here has been opened in a
 * session whose certificate chain was verified.
 *
 * Use: dht_init, dht_bootstrap with kept and ticket contacts, dht_join; then every
 * session, message and loss as it happens, dht_tick at dht_deadline. After each
 * input drain dht_poll until it returns false. Slices and pointers in an action are
 * valid until the next call on the object. Members are learnt by lookups: each
 * newly verified one is reported once as LEARNED.
 *
 * Messages that cannot be read or were not asked for are counted and dropped.
 */
#include "base/rng.h"
#include "base/trace.h"
#include "dht/guard.h"
#include "dht/join.h"
#include "dht/publish.h"
#include "dht/put.h"
#include "dht/store.h"
#include "dht/values.h"

#define DHT_ANSWERS_MAX 8               /* inputs without a poll between them; then dropped */
#define DHT_SAVE_US (5 * 60 * US_PER_S) /* contacts go to disk that often, if they changed */

struct dht_config {
    struct mesh_id mesh;
    const struct crypt_keypair *key; /* outlives the object; signs the NODE record */
    uint8_t nonce[16];               /* placement nonce of our certificate */
    uint8_t seed[32];                /* of the random stream */
    struct mem *mem;
    const struct trace *trace;  /* may be NULL; outlives the object */
    uint64_t record_seq;        /* last one on disk (dht_save_decode), 0 if none */
    uint16_t table_capacity;    /* 0: DHT_TABLE_CAPACITY */
    uint32_t store_records_max; /* 0: DHT_STORE_RECORDS_MAX */
    char lab[CERT_LAB_MAX + 1]; /* ours; "": every lab counts as ours */
    uint8_t want;               /* families that we can reach, DHT_WANT_*; 0: both */
    bool is_client;             /* asks, but wants to be in nobody's table */
};

struct dht_stats {
    uint64_t n_sent, n_received, n_malformed, n_unasked, n_dropped;
    uint64_t n_position_lies, n_muted, n_bad_records, n_early_refused, n_removed;
    uint64_t n_searches, n_stored, n_store_refused, n_escalated;
    uint64_t n_contacts_refused[DHT_VERDICT_N];
};

struct dht_answer { /* owed; written when polled */
    struct node_id to;
    struct addr addr;
    struct dht_pos target;
    uint64_t seq;
    uint32_t req_id;
    uint16_t len_max;
    uint8_t type, status, want, kind;
};

struct dht {
    struct dht_config config;
    struct dht_pos self;
    uint64_t now_us;        /* of the last input */
    int64_t wall_offset_ms; /* wall clock less now */
    struct rng rng;
    struct dht_table table;
    struct dht_guard guard;
    struct dht_rpc rpc;
    struct dht_store store;
    struct dht_join join;
    struct dht_publish publish;
    struct dht_puts puts;
    struct dht_search *searches[DHT_SEARCHES_MAX];
    struct dht_search *told; /* drained: freed at the next call */
    uint32_t n_handles;
    struct dht_answer answers[DHT_ANSWERS_MAX];
    uint8_t n_answers;
    uint64_t size_estimate;
    uint64_t saved_us, saved_changes; /* last SAVE, and table.n_changes then */
    bool is_first_save_due;
    struct dht_stats stats;
    uint8_t out[DHT_BODY_MAX]; /* body of the SEND drained last */
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_init(struct dht *d, uint64_t now_us, const struct dht_config *config);
void dht_done(struct dht *d);

/* What the sessions tell. */
void dht_on_session(struct dht *d, uint64_t now_us, const struct cert_facts *facts,
                    const struct addr *addr); /* confirmed, either side began it */
struct dht_msg {
    const struct cert_facts *facts; /* of the verified session it came by */
    const struct addr *addr;
    uint32_t req_id;
    uint16_t answer_max; /* room for the answer's body; 0: DHT_BODY_MAX */
    uint8_t type;
    bool is_early; /* request inside an INIT: answered, but has no side effect */
    struct slice body;
};
void dht_recv(struct dht *d, uint64_t now_us, const struct dht_msg *msg);
/* No session could be opened, or it ended, with requests unanswered. */
void dht_on_unreachable(struct dht *d, uint64_t now_us, const struct node_id *id);
/* A sign of life by other ways (gossip): spares a ping. */
void dht_on_heard(struct dht *d, uint64_t now_us, const struct node_id *id);
enum dht_gone { DHT_GONE_DEAD, DHT_GONE_LEFT, DHT_GONE_REVOKED };
void dht_on_peer_gone(struct dht *d, uint64_t now_us, const struct node_id *id, enum dht_gone why);
/* At start and each minute: records end with certificates, which know only the wall clock. */
void dht_on_clock(struct dht *d, uint64_t now_us, int64_t wall_ms);

/* Contacts to begin with; those whose nonce is not known carry DHT_FLAG_NO_NONCE. Kept until
 * dht_done: they are tried again whenever we are cut off. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_bootstrap(struct dht *d, uint64_t now_us,
                                        const struct dht_contact *contacts, size_t n);
void dht_join(struct dht *d, uint64_t now_us);

/* Begins a search. `ret_handle` (never 0) names it in FOUND. Conditions: IPX_UNREACHABLE (no member
 * known), IPX_FULL (6 run already). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_find(struct dht *d, uint64_t now_us, const struct dht_pos *target,
                                   enum lookup_mode mode, uint32_t *ret_handle);
void dht_find_cancel(struct dht *d, uint64_t now_us, uint32_t handle); /* no FOUND follows */

/* What our NODE record says from now on (id, nonce and seq are filled in here). */
void dht_publish_self(struct dht *d, uint64_t now_us, const struct dht_record *content);
/* The disk has what PERSIST_SEQ asked for. */
void dht_on_seq_stored(struct dht *d, uint64_t now_us, uint64_t seq);

void dht_tick(struct dht *d, uint64_t now_us);
uint64_t dht_deadline(const struct dht *d); /* NEVER_US: only an input can wake it */

enum dht_action_kind {
    DHT_ACTION_SEND,       /* open a session if there is none; else dht_on_unreachable */
    DHT_ACTION_FOUND,      /* a search of dht_find or dht_get is over */
    DHT_ACTION_STORED,     /* a put is done as far as its caller is concerned */
    DHT_ACTION_LEARNED,    /* a member, verified for the first time */
    DHT_ACTION_JOINED,     /* members answered; `n_members` of them known now */
    DHT_ACTION_SAVE,       /* put dht_contacts_encode on disk */
    DHT_ACTION_PERSIST_SEQ /* put this seq on disk, then call dht_on_seq_stored */
};

struct dht_action {
    enum dht_action_kind kind;
    union {
        struct {
            struct node_id to;
            struct addr addr; /* last known; a session's own address is better */
            uint8_t type;     /* enum dht_type; a request may be an early one but for STORE */
            uint32_t req_id;
            struct slice body;
        } send;
        struct {
            uint32_t handle;
            enum ipx_err status;           /* as in struct lookup_action */
            const struct dht_found *nodes; /* nearest first; never ourselves */
            size_t n_nodes;
            struct slice record; /* VALUE: best one, signature and key checked; may be empty */
            const struct dht_provider *providers;
            size_t n_providers;
        } found;
        struct {
            uint32_t handle;
            enum ipx_err status; /* IPX_OK (somebody has it), IPX_REFUSED (`why`), IPX_TIMEOUT,
                                    IPX_UNREACHABLE (no holder found) */
            uint8_t why;         /* enum dht_status of the last that refused; 0: none did */
            uint8_t n_acks;      /* holders that have it by now */
            uint64_t seq;        /* highest that a holder named */
        } stored;
        struct dht_contact learned;
        size_t n_members;
        uint64_t seq;
    };
};
bool dht_poll(struct dht *d, struct dht_action *ret);

size_t dht_n_members(const struct dht *d); /* in the table, without ourselves */
bool dht_is_joined(const struct dht *d);   /* members answered, and we are not cut off */
/* The up to `max` (<= 32) members nearest to the target. */
size_t dht_closest(const struct dht *d, const struct dht_pos *target, struct dht_contact *ret,
                   size_t max);
/* False: not in the table. */
bool dht_find_contact(const struct dht *d, const struct node_id *id, struct dht_contact *ret);
uint64_t dht_size_estimate(const struct dht *d); /* nodes in the mesh, ourselves included */
/* The file of contacts (wire.h), at most DHT_SAVE_BYTES_MAX. */
void dht_contacts_encode(const struct dht *d, struct writer *w);
void dht_check(const struct dht *d); /* asserts the full invariant */

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The searches that run: a lookup, what it is for, and what it found. Joins the
 * lookup object to the table (seeds, RTT), the requests in flight and the guard.
 *
 * Invariant: at most 8 run; each is one block of memory, taken when it begins and
 * given back after its result has been drained. Part of dht.c's object; not for
 * use outside the folder.
 */
#include "dht/lookup.h"
#include "dht/rpc.h"
#include "dht/table.h"

#define DHT_SEARCHES_MAX 8
#define DHT_SEARCHES_OWN 2 /* of these kept free for joining and publishing */
#define DHT_ALPHA 4        /* overlay 2.1 */
#define DHT_ALPHA_LOSSY 6  /* where much was lost lately; a search takes more by itself */
#define DHT_ALPHA_LOCATE 5 /* lossy: three answers are enough, so more find it no sooner */
/* Soft timeout, deviations beyond the mean. A closest set asks its nearest again, so it may stop
 * waiting sooner (4 give 235 ms where the model of the design has 200); who is to find one node
 * must not miss it because it is slow. */
#define DHT_SOFT_VARS 3
#define DHT_SOFT_VARS_LOCATE 4
#define DHT_ALPHA_DISJOINT 2 /* a path, where there are several */
#define DHT_PATHS_DISJOINT 4 /* overlay 2.5: eight find no more */
#define DHT_ESCALATE_FACTOR                                                                        \
    8 /* the k-th is that much farther than expected: somebody hides some                          \
       */
#define DHT_LOCATE_R 3

struct dht;
struct dht_action;

enum dht_use { DHT_USE_CALLER, DHT_USE_SELF, DHT_USE_BUCKET, DHT_USE_PUBLISH, DHT_USE_PUT };

/* One who says that it holds a content. */
struct dht_provider {
    struct node_id id;
    uint64_t seq, size;
    uint8_t flags;
};
#define DHT_PROVIDERS_MAX 32 /* collected by one search */

/* A node that a search found, nearest first. */
struct dht_found {
    struct dht_contact contact;
    struct dht_pos pos;
    bool is_verified; /* answered from its certified position; else only claimed */
};

enum dht_search_state { DHT_SEARCH_RUNNING, DHT_SEARCH_OVER, DHT_SEARCH_TOLD };
extern const struct sm_table dht_search_table;

struct dht_search {
    uint32_t handle;
    uint8_t state;  /* enum dht_search_state */
    uint8_t use;    /* enum dht_use */
    uint8_t bucket; /* BUCKET: which one is refreshed */
    enum ipx_err status;
    uint8_t n_found;
    struct dht_found found[DHT_K];
    uint8_t kind;        /* of the records asked for; 0: only nodes are */
    bool is_escalated;   /* runs again, by disjoint paths */
    bool is_disputed;    /* holders gave different values */
    uint32_t put;        /* PUT: of which one */
    uint16_t record_len; /* 0: none */
    uint8_t record[DHT_VALUE_MAX];
    uint8_t n_providers, n_wanted;
    struct dht_provider providers[DHT_PROVIDERS_MAX];
    struct lookup lookup;
};

struct dht_search_spec {
    enum dht_use use;
    enum lookup_mode mode;
    struct dht_pos target;
    uint8_t alpha;    /* 0: by the loss seen lately */
    uint8_t paths;    /* 0: one */
    uint8_t kind;     /* of the records asked for; 0: none */
    uint8_t n_wanted; /* PROVIDER: enough */
    uint32_t put;     /* PUT: of which one */
};

/* Slots a path: more where much was lost lately, fewer where paths share the work. */
uint8_t dht_search_alpha(const struct dht_rpc *r, enum lookup_mode mode, uint8_t paths);
/* How long to wait for one whose own round trips are not known. */
uint64_t dht_search_soft_us(const struct dht_rpc *r, enum lookup_mode mode);
/* Begins with the 2k nearest members as seeds. Conditions: IPX_FULL. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err dht_search_start(struct dht *d, const struct dht_search_spec *spec,
                                           struct dht_search **ret);
void dht_search_free(struct dht *d, struct dht_search *s);
struct dht_search *dht_search_find(const struct dht *d, uint32_t handle);
bool dht_search_is_running(const struct dht *d, enum dht_use use);

/* The peer that a search asked has answered (the call is over); `m` NULL: not to be read. */
void dht_search_on_reply(struct dht *d, const struct dht_call *call, const struct cert_facts *facts,
                         const struct addr *from, const struct dht_wire_msg *m);
void dht_search_on_fail(struct dht *d, const struct dht_call *call);
void dht_search_tick(struct dht *d);
bool dht_search_poll(struct dht *d, struct dht_action *ret);
uint64_t dht_search_deadline(const struct dht *d);

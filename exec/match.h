/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The known peers, and the order in which a job would try them: filter by `where`
 * (three-valued), order by `prefer`, then expected wait, then rendezvous hash
 * (language.md section 4, rules 6 and 7).
 *
 * Invariant: peers are sorted by id and unique. The place evaluates on the same
 * environment, with its live values. A linear scan is enough: 0.1 us an ad.
 */
#include "base/cert.h"
#include "base/query.h"
#include "exec/exec.h"

#define MATCH_PEERS_MAX                                                                            \
    16384u /* as many as a node keeps sessions to; further ones are not asked                      \
            */
#define MATCH_ENV_MAX 20u

struct match_peer {
    struct cert_facts facts;
    struct ad *ad; /* NULL: not known yet */
    struct exec_vitals vitals;
    uint64_t vitals_us; /* when they came */
    uint64_t srtt_us;
    uint64_t version; /* counts changes of ad or certificate: a refusal is then forgotten */
};

struct match {
    struct mem *mem;
    struct match_peer **peers;
    uint32_t n, cap;
};

void match_init(struct match *m, struct mem *mem);
void match_done(struct match *m);
/* Inserts or replaces; takes a reference to the ad. NULL if over the limit or out of memory.
 * A peer's address is stable until it is removed. */
struct match_peer *match_set(struct match *m, uint64_t now_us, const struct cert_facts *facts,
                             struct ad *ad, const struct exec_vitals *vitals, uint64_t srtt_us);
bool match_remove(struct match *m, const struct node_id *id);
struct match_peer *match_find(const struct match *m, const struct node_id *id);

/* The job as the language sees it. */
struct match_job {
    const char *lab; /* of the submitter, from its certificate */
    struct slice user;
    struct exec_needs needs;
};

/* Names filled in by the evaluator, sorted; texts point into peer, job and this struct, which must
 * not be moved while it is used. */
struct match_env {
    struct label labels[MATCH_ENV_MAX];
    struct slice caps[9];
    char key[ID_TEXT_SIZE];
    bool is_free[LABEL_AD_RESOURCES_MAX];
    struct query_env env;
};
void match_env_init(struct match_env *e, const struct match_peer *p, const struct match_job *job,
                    uint64_t now_us);

/* `.free` of the resources: of n cards as many count as taken as attempts run there, for nobody
 * says yet which attempt uses which; any other resource is free while a slot is. */
void match_env_free(struct match_env *e, uint32_t n_used, uint32_t n_slots);

/* May this peer be asked at all: OFFER in its certificate, slots not known to be none. */
bool match_offers(const struct match_peer *p);

struct match_candidate {
    struct match_peer *peer;
    enum query_truth truth; /* TRUE or UNKNOWN */
    bool has_rank;
    double rank; /* of prefer */
    uint64_t wait_us;
    uint64_t hash;
};
/* True if a goes before b. A strict total order for one job. */
bool match_before(const struct match_candidate *a, const struct match_candidate *b);
uint64_t match_hash(const struct exec_job_id *job, const struct node_id *id);

struct match_ask {
    const struct query *where;  /* NULL: true */
    const struct query *prefer; /* NULL: none */
    struct match_job job;
    struct exec_job_id id;
    const struct node_id *only; /* --on NODE; NULL: any */
};
struct match_counts {
    uint32_t n_nodes, n_true, n_false, n_unknown, n_no_offer, n_labs;
};
/* Evaluates one peer; false if it is out. */
bool match_peer_eval(const struct match_peer *p, const struct match_ask *ask, uint64_t now_us,
                     struct match_candidate *ret);
/* All that could run the job. n_labs: labs of the true ones. */
struct match_counts match_count(const struct match *m, const struct match_ask *ask,
                                uint64_t now_us);

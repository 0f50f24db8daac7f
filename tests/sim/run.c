/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run. Safety and liveness are apart: while faults happen only the invariants are looked at
 * (oracle.h); then faults stop, and the mesh must come together: clones have found each other, the
 * job ends, all know all and the same of each, searches find the true closest, names are the same
 * everywhere, and nobody is thought dead who is not.
 */
#include "tests/sim/adversary.h"
#include "tests/sim/oracle.h"
#include "tests/sim/plan.h"

#define TASKS 60
#define LOOK_US (10 * US_PER_MS)
#define START_GAP_US (20 * US_PER_MS)
#define JOIN_US (30 * US_PER_S)
#define CLONE_US (60 * US_PER_S)
#define JOB_US (180 * US_PER_S)
#define HEAL_US (60 * US_PER_S)   /* overlay section 7 */
#define SEARCH_US (10 * US_PER_S) /* the cap of a search is 8 s */
#define QUIET_US (20 * US_PER_S)
#define DEAD_US (5 * US_PER_S)
#define SEARCHES 16u /* one a node */

struct run {
    struct world w;
    struct faults faults;
    struct oracle oracle;
    struct world_client *client;
};

/* What each node sees, at a failure: the seed says the rest. */
static void report(struct world *w)
{
    for (unsigned i = 0; i < w->n_slots; i++) {
        const struct node *n = w->nodes[i].node;
        unsigned n_ads = 0;
        if (n == NULL) {
            printf("  n%u down: %s\n", i, w->nodes[i].stop_text);
            continue;
        }
        for (const struct gossip_member *m = n->has_cores ? members_next(n, NULL) : NULL; m != NULL;
             m = members_next(n, m)) {
            n_ads += gossip_member_is_live(m) && m->ad != NULL;
        }
        printf("  n%u state %d join %s sees %u live, %u ads\n", i, (int)n->state,
               n->join.is_failed ? err_name(n->join.why) : "ok",
               n->has_cores ? (unsigned)gossip_n_live(&n->gossip) : 0, n_ads);
    }
}

/* As world_run_until, looked at now and then: what is asked may cost more than an event. */
static bool wait_for(struct world *w, uint64_t within_us, bool (*is_so)(struct world *, void *),
                     void *user)
{
    uint64_t until = w->now_us + within_us;
    while (!is_so(w, user)) {
        if (w->now_us >= until || w->failure[0] != '\0') {
            return false;
        }
        world_run(w, w->now_us + LOOK_US);
    }
    return true;
}

static bool demand(struct run *r, uint64_t within_us, bool (*is_so)(struct world *, void *),
                   void *user, const char *else_text)
{
    struct world *w = &r->w;
    bool is_good = wait_for(w, within_us, is_so, user);
    if (!is_good) {
        world_fail(w, "%s %llu s after the faults", else_text,
                   (unsigned long long)(within_us / US_PER_S));
    }
    return is_good;
}

/* --- what must be equal everywhere --- */

/* Of the labels of all members: who has which version. */
static uint64_t label_digest(const struct node *n)
{
    uint64_t sum = 0; /* of any order */
    for (const struct gossip_member *m = members_next(n, NULL); m != NULL; m = members_next(n, m)) {
        if (gossip_member_is_live(m)) {
            uint64_t key = tally_key(m->ad_version, &m->facts.id, sizeof(m->facts.id));
            sum += key ^ (m->ad_boot.nonce + m->ad_boot.generation);
        }
    }
    return sum;
}

static uint64_t name_digest(const struct node *n)
{
    uint64_t sum = 0;
    for (const struct gossip_member *m = members_next(n, NULL); m != NULL; m = members_next(n, m)) {
        if (gossip_member_is_live(m)) {
            char name[GOSSIP_NAME_SIZE] = "";
            gossip_display_name(&n->gossip, m, name);
            sum += tally_key(tally_key(1, name, strlen(name)), &m->facts.id, sizeof(m->facts.id));
        }
    }
    return sum;
}

static bool is_equal(struct world *w, void *digest)
{
    uint64_t (*const *of)(const struct node *) = digest;
    for (unsigned i = 1; i < w->n_nodes; i++) {
        if (w->nodes[i].adversary == 0 && (*of)(w->nodes[i].node) != (*of)(w->nodes[0].node)) {
            return false;
        }
    }
    return true;
}

/* Admitted while its clock and the admitter's were both a day ahead: nobody takes it for a member
 * until then. Its user leaves and joins anew. */
static bool is_of_tomorrow(const struct world *w, const struct node *n)
{
    int64_t wall_ms = w->wall_base_ms + (int64_t)(w->now_us / US_PER_MS);
    return n->has_cores &&
           gossip_self(&n->gossip)->facts.admitted_ms > wall_ms + (int64_t)CERT_SKEW_MS;
}

/* A silent mesh, or a clock that was wrong, its own or another's. */
static bool may_try_again(const struct join *j)
{
    return j->is_failed && (j->why == IPX_TIMEOUT || j->why == IPX_CLOCK || j->why == IPX_NOT_YET ||
                            j->why == IPX_EXPIRED);
}

/* A join begun while faults happened may fail after them: its user tries again. */
static bool is_together(struct world *w, void *unused)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        const struct node *n = w->nodes[i].node;
        if (n != NULL && may_try_again(&n->join)) {
            world_crash(w, i);
            world_start(w, i);
        } else if (n != NULL && is_of_tomorrow(w, n)) {
            world_crash(w, i);
            world_wipe(w, i);
            world_join(w, i);
        }
    }
    return world_is_converged(w, unused);
}

/* --- phases --- */

static bool assemble(struct run *r, const struct plan *p, struct outcome *o)
{
    struct world *w = &r->w;
    world_make_mesh(w, START_GAP_US);
    uint64_t all_started = w->now_us + p->n_nodes * START_GAP_US;
    world_run(w, all_started);
    if (!wait_for(w, JOIN_US, world_is_converged, NULL)) {
        world_fail(w, "not all know all 30 s after the last start");
        return false;
    }
    o->join_us = w->now_us - all_started;
    return true;
}

static void safety(struct run *r, const struct plan *p)
{
    struct world *w = &r->w;
    const char *command = rng_chance(&w->work, 500) ? "echo x" : "sleep 700";
    r->client = world_submit(w, p->n_nodes > 1 ? 1 : 0, command, TASKS, true);
    faults_begin(&r->faults, w, p->faults);
    world_run(w, w->now_us + p->until_s * US_PER_S);
    faults_end(&r->faults);
    w->options.loss_permille = w->options.dup_permille = 0;
}

/* For QUIET_US nobody is thought dead for longer than DEAD_US. Of the dead somebody may still tell
 * what nobody had heard: then it takes as long as a crash does. */
static void stay_together(struct run *r)
{
    struct world *w = &r->w;
    uint64_t until = w->now_us + QUIET_US, since = w->now_us;
    while (w->failure[0] == '\0' && w->now_us < until) {
        world_run(w, w->now_us + US_PER_S);
        since = world_is_somebody_missed(w) ? since : w->now_us;
        if (w->now_us - since > DEAD_US) {
            world_fail(w, "a live node is held dead for 5 s long after the faults");
        }
    }
}

/* Until they are all right: tables heal too. */
static void search(struct run *r)
{
    struct world *w = &r->w;
    uint64_t until = w->now_us + HEAL_US;
    for (bool is_good = false; !is_good && w->failure[0] == '\0';) {
        char text[100];
        struct lookups *l = lookups_begin(w, &w->work, IPX_MIN(w->n_nodes, SEARCHES));
        world_run_until(w, w->now_us + SEARCH_US, lookups_are_over, l);
        is_good = lookups_judge(l, text, sizeof(text));
        lookups_free(l);
        if (!is_good && w->now_us >= until) {
            world_fail(w, "%s, 60 s after all know all", text);
        }
        world_run(w, w->now_us + (is_good ? 0 : US_PER_S));
    }
}

static void liveness(struct run *r)
{
    uint64_t (*labels)(const struct node *) = label_digest;
    uint64_t (*names)(const struct node *) = name_digest;
    struct world_client *c = r->client;
    if (!demand(r, CLONE_US, faults_is_clone_settled, &r->faults, "no copy has stopped itself")) {
        return;
    }
    faults_drop_clone(&r->faults);
    if (!demand(r, JOB_US, world_client_is_over, c, "the job has not ended")) {
        return;
    }
    if (c->is_error || c->n_done != TASKS) {
        world_fail(&r->w, "%s", c->is_error ? c->error : "not every task is done");
    } else if (demand(r, HEAL_US, is_together, NULL, "not all know all") &&
               demand(r, HEAL_US, is_equal, &labels, "labels are not the same everywhere") &&
               demand(r, HEAL_US, is_equal, &names, "names are not the same everywhere")) {
        search(r);
        stay_together(r);
    }
}

void plan_run(const struct plan *p, struct outcome *ret)
{
    static struct run run;
    struct run *r = &run;
    struct world_options options = {.seed = p->seed,
                                    .n_nodes = p->n_nodes,
                                    .n_spare = 2, /* a clone, a thief */
                                    .delay_us = 5000,
                                    .jitter_us = 20000,
                                    .traces = p->traces,
                                    .n_labs = 3};
    *ret = (struct outcome){0};
    memset(r, 0, sizeof(*r));
    world_init(&r->w, &options);
    oracle_begin(&r->oracle, &r->w);
    adversaries_begin(&r->w, p->adversaries);
    if (assemble(r, p, ret)) {
        safety(r, p);
        if (r->w.failure[0] == '\0') {
            liveness(r);
        }
        ret->n_done = r->client->n_done;
        faults_done(&r->faults);
    }
    world_check(&r->w);
    ret->trace_hash = r->w.trace_hash;
    ret->n_events = r->w.n_events;
    ret->most_bytes = r->oracle.most_bytes;
    ret->is_failure = r->w.failure[0] != '\0';
    static_assert(sizeof(ret->failure) == sizeof(r->w.failure), "the same text");
    memcpy(ret->failure, r->w.failure, sizeof(ret->failure));
    if (ret->is_failure) {
        printf("\n");
        report(&r->w);
    }
    adversary_wire_end();
    oracle_done(&r->oracle);
    world_done(&r->w);
}

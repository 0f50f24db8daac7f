/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/match.h"

#define MATCH_PEERS_MIN 16u

void match_init(struct match *m, struct mem *mem)
{
    *m = (struct match){.mem = mem};
}

static void peer_free(struct match *m, struct match_peer *p)
{
    ad_unref(p->ad);
    mem_free(m->mem, p);
}

void match_done(struct match *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        peer_free(m, m->peers[i]);
    }
    mem_free(m->mem, m->peers);
    *m = (struct match){.mem = m->mem};
}

/* Index of the first peer whose id is not below `id`. */
static uint32_t match_lower(const struct match *m, const struct node_id *id)
{
    uint32_t low = 0, high = m->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (node_id_compare(&m->peers[mid]->facts.id, id) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct match_peer *match_find(const struct match *m, const struct node_id *id)
{
    uint32_t i = match_lower(m, id);
    return i < m->n && node_id_equal(&m->peers[i]->facts.id, id) ? m->peers[i] : NULL;
}

static struct match_peer *match_insert(struct match *m, const struct node_id *id)
{
    if (m->n >= MATCH_PEERS_MAX) {
        return NULL;
    }
    if (m->n == m->cap) {
        uint32_t cap = m->cap == 0 ? MATCH_PEERS_MIN : m->cap * 2;
        struct match_peer **peers =
            mem_realloc(m->mem, m->peers, cap * sizeof(struct match_peer *));
        if (peers == NULL) {
            return NULL;
        }
        m->peers = peers;
        m->cap = cap;
    }
    struct match_peer *p = mem_alloc(m->mem, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    uint32_t at = match_lower(m, id);
    memmove(m->peers + at + 1, m->peers + at, (m->n - at) * sizeof(struct match_peer *));
    m->peers[at] = p;
    m->n++;
    p->facts.id = *id;
    return p;
}

struct match_peer *match_set(struct match *m, uint64_t now_us, const struct cert_facts *facts,
                             struct ad *ad, const struct exec_vitals *vitals, uint64_t srtt_us)
{
    struct match_peer *p = match_find(m, &facts->id);
    if (p == NULL) {
        p = match_insert(m, &facts->id);
    }
    if (p == NULL) {
        return NULL;
    }
    if (p->ad != ad || !hash_equal(&p->facts.chain_hash, &facts->chain_hash)) {
        p->version++;
    }
    struct ad *old = p->ad;
    p->ad = ad != NULL ? ad_ref(ad) : NULL;
    ad_unref(old);
    p->facts = *facts;
    p->vitals = *vitals;
    p->vitals_us = now_us;
    p->srtt_us = srtt_us;
    return p;
}

bool match_remove(struct match *m, const struct node_id *id)
{
    uint32_t at = match_lower(m, id);
    if (at == m->n || !node_id_equal(&m->peers[at]->facts.id, id)) {
        return false;
    }
    peer_free(m, m->peers[at]);
    m->n--;
    memmove(m->peers + at, m->peers + at + 1, (m->n - at) * sizeof(struct match_peer *));
    return true;
}

/* --- the environment --- */

static void env_text(struct match_env *e, const char *name, struct slice text)
{
    e->labels[e->env.n_extra++] =
        (struct label){.name = slice_text(name), .value = {.type = LABEL_STRING, .text = text}};
}

static void env_number(struct match_env *e, const char *name, double v, struct label_dim dim)
{
    e->labels[e->env.n_extra++] = (struct label){
        .name = slice_text(name), .value = {.type = LABEL_NUMBER, .number = v, .dim = dim}};
}

/* Names as role texts of cli.md, sorted. */
static void env_caps(struct match_env *e, uint32_t caps)
{
    static const struct {
        uint32_t cap;
        const char *name;
    } names[] = {
        {CERT_CAP_ADMIN, "admin"}, {CERT_CAP_ADMIT, "admit"},   {CERT_CAP_ISSUE, "issue"},
        {CERT_CAP_JOIN, "join"},   {CERT_CAP_OFFER, "offer"},   {CERT_CAP_PUBLISH, "publish"},
        {CERT_CAP_RELAY, "relay"}, {CERT_CAP_REVOKE, "revoke"}, {CERT_CAP_SUBMIT, "submit"},
    };
    uint16_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((caps & names[i].cap) != 0) {
            e->caps[n++] = slice_text(names[i].name);
        }
    }
    e->labels[e->env.n_extra++] = (struct label){
        .name = slice_text("node.caps"), .value = {.type = LABEL_SET, .set = e->caps, .n_set = n}};
}

void match_env_free(struct match_env *e, uint32_t n_used, uint32_t n_slots)
{
    const struct ad *ad = e->env.ad;
    uint32_t n_cards = 0;
    for (uint16_t i = 0; ad != NULL && i < ad->n_resources; i++) {
        bool is_card = slice_equal(ad->resources[i].kind, slice_text("gpu"));
        e->is_free[i] = is_card ? n_cards >= n_used : n_used < n_slots;
        n_cards += is_card;
    }
    e->env.free_resources = ad != NULL ? e->is_free : NULL;
}

void match_env_init(struct match_env *e, const struct match_peer *p, const struct match_job *job,
                    uint64_t now_us)
{
    const struct label_dim none = {0, 0}, bytes = {1, 0}, seconds = {0, 1};
    const struct exec_vitals *v = &p->vitals;
    uint64_t age_us = v->ad_age_us + (now_us > p->vitals_us ? now_us - p->vitals_us : 0);
    *e = (struct match_env){.env = {.ad = p->ad}};
    e->env.extra = e->labels;
    node_id_text(&p->facts.id, e->key);
    /* sorted by name: query_env wants it so */
    env_number(e, "ad.age", (double)age_us / 1e6, seconds);
    env_number(e, "job.cpu", job->needs.cpu, none);
    env_number(e, "job.in", (double)job->needs.in, bytes);
    env_text(e, "job.lab", slice_text(job->lab));
    env_number(e, "job.mem", (double)job->needs.mem, bytes);
    e->labels[e->env.n_extra++] =
        (struct label){.name = slice_text("job.net"), .value = {.type = LABEL_BOOL}};
    if (job->needs.time_us > 0) {
        env_number(e, "job.time", (double)job->needs.time_us / 1e6, seconds);
    }
    env_text(e, "job.user", job->user);
    env_text(e, "lab", slice_text(p->facts.lab));
    if (v->is_known) {
        env_number(e, "load", (double)v->load_milli / 1000.0, none);
        env_number(e, "mem.free", (double)v->mem_free, bytes);
    }
    env_caps(e, p->facts.caps);
    env_text(e, "node.key", slice_text(e->key));
    env_text(e, "node.name", slice_text(p->facts.name));
    env_number(e, "rtt", (double)p->srtt_us / 1e6, seconds);
    if (v->is_known) {
        match_env_free(e, v->n_slots > v->n_free ? v->n_slots - v->n_free : 0, v->n_slots);
    }
    assert(e->env.n_extra <= MATCH_ENV_MAX);
}

/* --- candidates --- */

bool match_offers(const struct match_peer *p)
{
    return (p->facts.caps & CERT_CAP_OFFER) != 0 && p->ad != NULL &&
           (!p->vitals.is_known || p->vitals.n_slots > 0);
}

uint64_t match_hash(const struct exec_job_id *job, const struct node_id *id)
{
    /* The job id is random, so nobody can choose a key that wins ties. */
    uint64_t x = load_be64(job->bytes) ^ load_be16(job->bytes + 8);
    for (size_t i = 0; i < sizeof(id->bytes); i += 8) {
        x ^= load_be64(id->bytes + i);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        x ^= x >> 31;
    }
    return x;
}

bool match_before(const struct match_candidate *a, const struct match_candidate *b)
{
    if (a->truth != b->truth) {
        return a->truth == QUERY_TRUE;
    }
    if (a->has_rank != b->has_rank) {
        return a->has_rank;
    }
    if (a->has_rank && (a->rank > b->rank || a->rank < b->rank)) {
        return a->rank > b->rank;
    }
    if (a->wait_us != b->wait_us) {
        return a->wait_us < b->wait_us;
    }
    if (a->hash != b->hash) {
        return a->hash < b->hash;
    }
    return node_id_compare(&a->peer->facts.id, &b->peer->facts.id) < 0;
}

/* Queue and way there; a full place without a guess of its own counts as a second. */
static uint64_t expected_wait_us(const struct match_peer *p)
{
    uint64_t wait_us = p->srtt_us + (uint64_t)p->vitals.wait_ms * US_PER_MS;
    if (p->vitals.is_known && p->vitals.n_free == 0 && p->vitals.wait_ms == 0) {
        wait_us += US_PER_S;
    }
    return wait_us;
}

bool match_peer_eval(const struct match_peer *p, const struct match_ask *ask, uint64_t now_us,
                     struct match_candidate *ret)
{
    if (!match_offers(p) || (ask->only != NULL && !node_id_equal(ask->only, &p->facts.id))) {
        return false;
    }
    struct match_env env;
    match_env_init(&env, p, &ask->job, now_us);
    enum query_truth truth =
        ask->where == NULL ? QUERY_TRUE : query_eval(ask->where, &env.env).truth;
    if (truth == QUERY_FALSE) {
        return false;
    }
    /* a value is no truth: the same as unknown, and the place will say so */
    *ret = (struct match_candidate){
        .truth = truth == QUERY_TRUE ? QUERY_TRUE : QUERY_UNKNOWN,
        .wait_us = expected_wait_us(p),
        .hash = match_hash(&ask->id, &p->facts.id),
    };
    if (ask->prefer != NULL) {
        struct query_result rank = query_eval(ask->prefer, &env.env);
        ret->has_rank = (rank.truth == QUERY_VALUE && rank.value.type == LABEL_NUMBER) ||
                        rank.truth == QUERY_TRUE || rank.truth == QUERY_FALSE;
        ret->rank = rank.truth == QUERY_VALUE ? rank.value.number : rank.truth == QUERY_TRUE;
    }
    return true;
}

#define LABS_SEEN_MAX 256u /* labs are counted exactly up to here; people read the number */

struct match_counts match_count(const struct match *m, const struct match_ask *ask, uint64_t now_us)
{
    struct match_counts c = {.n_nodes = m->n};
    const char *labs[LABS_SEEN_MAX];
    for (uint32_t i = 0; i < m->n; i++) {
        struct match_candidate candidate;
        if (!match_offers(m->peers[i])) {
            c.n_no_offer++;
        } else if (!match_peer_eval(m->peers[i], ask, now_us, &candidate)) {
            c.n_false++;
        } else if (candidate.truth == QUERY_UNKNOWN) {
            c.n_unknown++;
        } else {
            c.n_true++;
            uint32_t k = 0;
            while (k < c.n_labs && strcmp(labs[k], m->peers[i]->facts.lab) != 0) {
                k++;
            }
            if (k == c.n_labs && k < LABS_SEEN_MAX) {
                labs[c.n_labs++] = m->peers[i]->facts.lab;
            }
        }
    }
    return c;
}

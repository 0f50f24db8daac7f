/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* Asking places: which ones, in which order, and what their answers mean. */

#define S(s) SM_TO(OWNER_SEAT_##s)
static const struct sm_state seat_states[OWNER_SEAT_N] = {
    [OWNER_SEAT_NEW] = {"new", S(ASKED) | S(REFUSED), false},
    [OWNER_SEAT_ASKED] = {"asked", S(GRANTED) | S(REFUSED) | S(NEW), false},
    [OWNER_SEAT_GRANTED] = {"granted", S(OPEN) | S(NEW), false},
    [OWNER_SEAT_REFUSED] = {"refused", S(ASKED) | S(NEW), false},
    [OWNER_SEAT_OPEN] = {"open", S(BROKEN) | S(REFUSED) | S(NEW), false},
    [OWNER_SEAT_BROKEN] = {"broken", S(OPEN) | S(NEW), false},
};
const struct sm_table exec_seat_table = {"exec seat", seat_states, OWNER_SEAT_N};

/* Where `id` is or would be in by_id. */
static uint16_t seat_lower(const struct owner_job *j, const struct node_id *id)
{
    uint16_t low = 0, high = j->n_seats;
    while (low < high) {
        uint16_t mid = (uint16_t)(low + (high - low) / 2);
        if (node_id_compare(&j->seats[j->by_id[mid]]->id, id) < 0) {
            low = (uint16_t)(mid + 1);
        } else {
            high = mid;
        }
    }
    return low;
}

struct owner_seat *seat_find(struct owner_job *j, const struct node_id *id)
{
    uint16_t at = seat_lower(j, id);
    if (at < j->n_seats && node_id_equal(&j->seats[j->by_id[at]]->id, id)) {
        return j->seats[j->by_id[at]];
    }
    return NULL;
}

static bool seats_grow(struct owner *o, struct owner_job *j)
{
    uint16_t cap = (uint16_t)(j->cap_seats == 0 ? 8 : j->cap_seats * 2);
    struct owner_seat **seats = mem_realloc(o->mem, j->seats, cap * sizeof(struct owner_seat *));
    if (seats == NULL) {
        return false;
    }
    j->seats = seats;
    uint16_t *by_id = mem_realloc(o->mem, j->by_id, cap * sizeof(*by_id));
    if (by_id == NULL) {
        return false;
    }
    j->by_id = by_id;
    j->cap_seats = cap;
    return true;
}

/* NULL: too many, or no memory. */
static struct owner_seat *seat_get(struct owner *o, struct owner_job *j, const struct match_peer *p)
{
    struct owner_seat *s = seat_find(j, &p->facts.id);
    if (s == NULL) {
        if (j->n_seats == OWNER_SEATS_MAX || (j->n_seats == j->cap_seats && !seats_grow(o, j))) {
            return NULL;
        }
        s = mem_alloc(o->mem, sizeof(*s));
        if (s == NULL) {
            return NULL;
        }
        uint16_t at = seat_lower(j, &p->facts.id);
        memmove(j->by_id + at + 1, j->by_id + at, (size_t)(j->n_seats - at) * sizeof(*j->by_id));
        j->by_id[at] = j->n_seats;
        s->job = j;
        s->index = j->n_seats;
        s->id = p->facts.id;
        j->seats[j->n_seats++] = s;
    }
    memcpy(s->name, p->facts.name, sizeof(s->name));
    memcpy(s->lab, p->facts.lab, sizeof(s->lab));
    s->is_gone = false;
    return s;
}

void seat_free(struct owner *o, struct owner_seat *s)
{
    if (s->handle != 0) {
        out_stream_close(&o->core->out, s->handle, IPX_OK);
        core_stream_free(o->core, s->handle);
    }
    mem_free(o->mem, s->claims);
    mem_free(o->mem, s->lost);
    mem_free(o->mem, s);
}

struct match_ask job_ask(struct owner *o, const struct owner_job *j)
{
    return (struct match_ask){
        .where = j->where,
        .prefer = j->prefer,
        .job = {.lab = o->core->self.lab, .user = slice_text(j->user), .needs = j->submit.needs},
        .id = j->id,
        .only = j->has_only ? &j->only : NULL,
    };
}

/* --- demand --- */

/* Tasks that want a place beyond the credit there is. */
uint32_t job_demand(const struct owner_job *j, uint64_t now_us)
{
    uint32_t n = job_n_unplaced(j);
    uint32_t n_out = j->n_in[OWNER_TASK_CLAIMED] + j->n_in[OWNER_TASK_RUNNING];
    uint32_t room = j->submit.limit == 0      ? UINT32_MAX
                    : j->submit.limit > n_out ? j->submit.limit - n_out
                                              : 0;
    uint32_t spare = 0;
    for (uint16_t i = 0; i < j->n_seats; i++) {
        const struct owner_seat *s = j->seats[i];
        if (s->state == OWNER_SEAT_OPEN && s->credit > s->n_open && seat_is_useful(j, now_us, s)) {
            spare += s->credit - s->n_open;
        }
    }
    n = IPX_MIN(n, room);
    return n > spare ? n - spare : 0;
}

static void tasks_mark(struct owner_job *j, uint32_t n)
{
    for (uint32_t i = j->again_head; i != NO_TASK && n > 0; i = j->tasks[i].link, n--) {
        if (j->tasks[i].state == OWNER_TASK_WAITING) {
            task_move(j, i, OWNER_TASK_PROBING);
        }
    }
    for (uint32_t i = j->next_fresh; i < j->count && n > 0; i++, n--) {
        if (j->tasks[i].state == OWNER_TASK_WAITING) {
            task_move(j, i, OWNER_TASK_PROBING);
        }
    }
}

/* Probing tasks are at the heads of both lists. */
static void tasks_unmark(struct owner_job *j)
{
    for (uint32_t i = j->again_head; i != NO_TASK; i = j->tasks[i].link) {
        if (j->tasks[i].state == OWNER_TASK_PROBING) {
            task_move(j, i, OWNER_TASK_WAITING);
        }
    }
    for (uint32_t i = j->next_fresh; i < j->count; i++) {
        if (j->tasks[i].state != OWNER_TASK_PROBING) {
            break;
        }
        task_move(j, i, OWNER_TASK_WAITING);
    }
}

/* --- one wave of probes --- */

struct wave {
    struct match_candidate best[EXEC_PROBES_MAX];
    uint32_t n, n_max;
    uint32_t n_true;           /* of all peers, those already used included */
    uint32_t n_all;            /* true or unknown */
    uint32_t n_policy, n_full; /* of n_all, refused lately */
};

static void wave_add(struct wave *w, const struct match_candidate *c)
{
    uint32_t at = w->n;
    while (at > 0 && match_before(c, &w->best[at - 1])) {
        at--;
    }
    if (at == w->n_max) {
        return;
    }
    uint32_t n = IPX_MIN(w->n, w->n_max - 1);
    memmove(w->best + at + 1, w->best + at, (n - at) * sizeof(w->best[0]));
    w->best[at] = *c;
    w->n = n + 1;
}

/* Not asked now: in use, asked already, or refused and nothing changed since. */
bool seat_is_blocked(uint64_t now_us, const struct owner_seat *s, const struct match_peer *p)
{
    if (s == NULL || s->state == OWNER_SEAT_NEW) {
        return false;
    }
    if (s->state != OWNER_SEAT_REFUSED) {
        return true;
    }
    if (s->until_us <= now_us ||
        (s->version != p->version && s->reason != EXEC_REFUSAL_FULL && s->reason != 0)) {
        return false;
    }
    return true;
}

static void wave_collect(struct owner *o, uint64_t now_us, struct owner_job *j, struct wave *w)
{
    const struct match *m = &o->core->match;
    struct match_ask ask = job_ask(o, j);
    for (uint32_t i = 0; i < m->n; i++) {
        struct match_candidate c;
        if (!match_peer_eval(m->peers[i], &ask, now_us, &c)) {
            continue;
        }
        c.peer = m->peers[i];
        w->n_all++;
        w->n_true += c.truth == QUERY_TRUE;
        const struct owner_seat *s = seat_find(j, &c.peer->facts.id);
        if (!seat_is_blocked(now_us, s, c.peer)) {
            wave_add(w, &c);
        } else if (s->state == OWNER_SEAT_REFUSED) {
            w->n_policy += s->reason == EXEC_REFUSAL_POLICY;
            w->n_full += s->reason == EXEC_REFUSAL_FULL;
        }
    }
}

static uint64_t probe_timeout_us(const struct match_peer *p)
{
    /* Loopback and unknown paths get 400 ms as the session layer does; far ones three RTTs. */
    return IPX_MIN(IPX_MAX(3 * p->srtt_us, 400 * US_PER_MS), 2 * US_PER_S);
}

static void probe_send(struct owner *o, struct owner_job *j, const struct owner_seat *s,
                       uint32_t want)
{
    uint8_t bytes[1100];
    struct exec_probe m = {.job = j->id,
                           .want = want,
                           .needs = j->submit.needs,
                           .user = slice_text(j->user),
                           .where =
                               j->where_text != NULL ? slice_text(j->where_text) : SLICE_EMPTY};
    struct writer w = writer_of(bytes, sizeof(bytes));
    exec_probe_encode(&m, &w);
    if (w.failed) {
        m.where = SLICE_EMPTY; /* JOB brings it */
        w = writer_of(bytes, sizeof(bytes));
        exec_probe_encode(&m, &w);
    }
    assert(!w.failed);
    out_dgram(&o->core->out, &s->id, EXEC_MSG_PROBE, s->req_id, writer_slice(&w));
}

static void seat_ask(struct owner *o, uint64_t now_us, struct owner_job *j,
                     const struct match_candidate *c, uint32_t want, uint64_t rank)
{
    struct owner_seat *s = seat_get(o, j, c->peer);
    if (s == NULL) {
        return;
    }
    sm_move(&exec_seat_table, &s->state, OWNER_SEAT_ASKED);
    s->rank = rank;
    s->version = c->peer->version;
    s->req_id = ++o->core->next_req_id;
    s->until_us = now_us + probe_timeout_us(c->peer);
    j->n_asked++;
    probe_send(o, j, s, want);
}

/* Nobody can be asked now: says why, and ends what shall not wait. */
static void job_stuck(struct owner *o, struct owner_job *j, const struct wave *w)
{
    bool has_open = false;
    for (uint16_t i = 0; i < j->n_seats; i++) {
        has_open = has_open || j->seats[i]->state == OWNER_SEAT_OPEN ||
                   j->seats[i]->state == OWNER_SEAT_BROKEN;
    }
    if (has_open || w->n_full > 0) {
        j->why = EXEC_WAITING_FULL;
    } else if (w->n_all > 0 && w->n_policy == w->n_all) {
        j->why = EXEC_WAITING_POLICY;
    } else {
        j->why = w->n_all > 0 ? EXEC_WAITING_FULL : EXEC_WAITING_NO_MATCH;
    }
    if (j->n_started > 0 || has_open) {
        return;
    }
    if (j->why == EXEC_WAITING_POLICY && j->submit.wait_max_us == 0) {
        job_end_waiting(o, j, OWNER_TASK_FAILED, EXEC_END_POLICY);
    } else if ((j->submit.flags & EXEC_SUBMIT_NO_WAIT) != 0) {
        job_end_waiting(o, j, OWNER_TASK_FAILED,
                        j->why == EXEC_WAITING_POLICY ? EXEC_END_POLICY : EXEC_END_NO_MATCH);
    }
}

void job_pass(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    uint32_t demand = job_demand(j, now_us);
    j->wants_pass = false;
    if (j->state != OWNER_JOB_ACTIVE || demand == 0 || j->n_asked >= EXEC_PROBES_MAX) {
        return;
    }
    j->had_pass = true;
    j->pass_us = now_us;
    /* 2k + 3 candidates for k tasks, as many as may be outstanding */
    uint32_t n_max = EXEC_PROBES_MAX - j->n_asked;
    struct wave w = {.n_max = demand > EXEC_PROBES_MAX ? n_max : IPX_MIN(2 * demand + 3, n_max)};
    wave_collect(o, now_us, j, &w);
    j->n_candidates = w.n_all;
    uint64_t rank = now_us;
    for (uint32_t i = 0; i < w.n; i++) {
        if (w.best[i].truth == QUERY_UNKNOWN && w.n_true >= demand && i > 0) {
            break; /* enough are known to fit */
        }
        seat_ask(o, now_us, j, &w.best[i], IPX_MIN(demand, EXEC_BATCH_MAX), rank++);
    }
    if (j->n_asked > 0) {
        j->why = EXEC_WAITING_PROBING;
        tasks_mark(j, IPX_MIN(demand, EXEC_BATCH_MAX));
    } else {
        job_stuck(o, j, &w);
    }
}

/* --- answers --- */

void seat_answered(struct owner_job *j, struct owner_seat *s, enum owner_seat_state to)
{
    assert(j->n_asked > 0);
    sm_move(&exec_seat_table, &s->state, to);
    j->n_asked--;
    if (j->n_asked == 0) {
        tasks_unmark(j);
    }
    j->wants_pass = true;
}

void seat_refused(struct owner *o, uint64_t now_us, struct owner_seat *s, uint8_t reason,
                  uint32_t wait_ms)
{
    struct owner_job *j = s->job;
    uint64_t wait_us = (uint64_t)wait_ms * US_PER_MS;
    if (s->state == OWNER_SEAT_ASKED) {
        seat_answered(j, s, OWNER_SEAT_REFUSED);
    } else {
        sm_move(&exec_seat_table, &s->state, OWNER_SEAT_REFUSED);
        j->wants_pass = true;
    }
    s->reason = reason;
    if (reason == EXEC_REFUSAL_FULL) {
        wait_us = IPX_MIN(IPX_MAX(wait_us, OWNER_FULL_MIN_US), OWNER_FULL_MAX_US);
    } else {
        wait_us = reason == 0 ? OWNER_SILENT_US : OWNER_POLICY_US;
    }
    s->until_us = now_us + wait_us;
    o->stats.n_refused++;
    job_dirty(o, j);
}

static struct owner_seat *seat_of_request(struct owner *o, const struct node_id *id,
                                          uint32_t req_id)
{
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        struct owner_job *j = o->jobs[i];
        struct owner_seat *s = j->n_asked > 0 ? seat_find(j, id) : NULL;
        if (s != NULL && s->state == OWNER_SEAT_ASKED && s->req_id == req_id) {
            return s;
        }
    }
    return NULL;
}

/* In order of rank: the best grant is taken first, and with --prefer none before all better ones
 * have answered. What is not needed is given back. */
void job_take_grants(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    while (j->n_asked > 0) {
        struct owner_seat *best = NULL, *asked = NULL;
        for (uint16_t i = 0; i < j->n_seats; i++) {
            struct owner_seat *s = j->seats[i];
            if (s->state == OWNER_SEAT_GRANTED && (best == NULL || s->rank < best->rank)) {
                best = s;
            }
            if (s->state == OWNER_SEAT_ASKED && (asked == NULL || s->rank < asked->rank)) {
                asked = s;
            }
        }
        if (best == NULL || (j->prefer != NULL && asked != NULL && asked->rank < best->rank)) {
            return;
        }
        if (j->state == OWNER_JOB_ACTIVE && job_demand(j, now_us) > 0) {
            seat_answered(j, best, OWNER_SEAT_OPEN);
            seat_open(o, now_us, best);
        } else {
            seat_answered(j, best, OWNER_SEAT_NEW);
            probe_send(o, j, best, 0);
        }
    }
}

static void on_grant(struct owner *o, struct owner_seat *s, const struct exec_grant *g)
{
    sm_move(&exec_seat_table, &s->state, OWNER_SEAT_GRANTED);
    s->reservation = g->reservation;
    s->n_granted = g->n;
    s->until_us = NEVER_US;
    job_dirty(o, s->job);
}

/* Slots are free there: every job that it refused for being full asks again. */
static void on_free(struct owner *o, uint64_t now_us, const struct node_id *id)
{
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        struct owner_job *j = o->jobs[i];
        if (j->state != OWNER_JOB_ACTIVE) {
            continue;
        }
        struct owner_seat *s = seat_find(j, id);
        if (s != NULL && s->state == OWNER_SEAT_REFUSED && s->reason == EXEC_REFUSAL_FULL) {
            s->until_us = now_us;
            j->wants_pass = true;
            job_dirty(o, j);
        }
    }
}

void owner_recv(struct owner *o, uint64_t now_us, const struct cert_facts *from, uint8_t type,
                uint32_t req_id, struct slice body)
{
    struct exec_grant grant;
    struct exec_refuse refuse;
    struct exec_free_slots slots;
    struct owner_seat *s = seat_of_request(o, &from->id, req_id);
    enum ipx_err err = IPX_MALFORMED;
    if (type == EXEC_MSG_GRANT) {
        err = exec_grant_decode(body, &grant);
        if (err == IPX_OK && s != NULL) {
            on_grant(o, s, &grant);
        }
    } else if (type == EXEC_MSG_REFUSAL) {
        err = exec_refuse_decode(body, &refuse);
        if (err == IPX_OK && s != NULL) {
            seat_refused(o, now_us, s, (uint8_t)refuse.reason, refuse.wait_ms);
        }
    } else if (type == EXEC_MSG_FREE) {
        err = exec_free_decode(body, &slots);
        if (err == IPX_OK) {
            on_free(o, now_us, &from->id);
        }
    }
    o->core->n_malformed += err != IPX_OK;
}

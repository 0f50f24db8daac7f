/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* What changes a job from outside its streams: members that come and go, and time. */

/* --- members --- */

void owner_on_peer(struct owner *o, uint64_t now_us, const struct match_peer *peer)
{
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        struct owner_job *j = o->jobs[i];
        struct match_candidate c;
        if (job_is_over(j) || j->state == OWNER_JOB_RECEIVING) {
            continue;
        }
        struct owner_seat *s = seat_find(j, &peer->facts.id);
        if (s != NULL && s->is_gone) {
            s->is_gone = false; /* it came back: a broken link is tried again */
            s->until_us = now_us;
            job_dirty(o, j);
        }
        if (j->state != OWNER_JOB_ACTIVE || j->wants_pass || job_demand(j, now_us) == 0) {
            continue;
        }
        struct match_ask ask = job_ask(o, j);
        if (!seat_is_blocked(now_us, s, peer) && match_peer_eval(peer, &ask, now_us, &c)) {
            j->wants_pass = true;
            job_dirty(o, j);
        }
    }
}

void owner_on_peer_gone(struct owner *o, uint64_t now_us, const struct node_id *id)
{
    for (uint32_t i = 0; i < o->n_jobs; i++) {
        struct owner_job *j = o->jobs[i];
        struct owner_seat *s = job_is_over(j) ? NULL : seat_find(j, id);
        if (s == NULL) {
            continue;
        }
        s->is_gone = true;
        if (s->state == OWNER_SEAT_ASKED || s->state == OWNER_SEAT_GRANTED) {
            seat_answered(j, s, OWNER_SEAT_NEW);
        } else if (j->submit.flags & EXEC_SUBMIT_PURE) {
            seat_lost(o, now_us, s);
        }
        job_dirty(o, j);
    }
}

/* --- time --- */

static uint64_t seat_deadline(const struct owner_seat *s)
{
    switch ((enum owner_seat_state)s->state) {
    case OWNER_SEAT_ASKED:
        return s->until_us;
    case OWNER_SEAT_REFUSED:
        return job_n_unplaced(s->job) > 0 ? s->until_us : NEVER_US;
    case OWNER_SEAT_OPEN:
        return s->n_claims > 0 ? seat_claims_end(s) : NEVER_US;
    case OWNER_SEAT_BROKEN:
        return IPX_MIN(s->is_gone ? NEVER_US : s->until_us, seat_claims_end(s));
    case OWNER_SEAT_NEW:
    case OWNER_SEAT_GRANTED:
    case OWNER_SEAT_N:
        break;
    }
    return NEVER_US;
}

uint64_t job_deadline(const struct owner_job *j, uint64_t now_us)
{
    uint64_t due_us = NEVER_US;
    for (uint16_t i = 0; i < j->n_seats; i++) {
        due_us = IPX_MIN(due_us, seat_deadline(j->seats[i]));
    }
    if (j->submit.wait_max_us > 0 && job_n_unplaced(j) > 0) {
        due_us = IPX_MIN(due_us, j->submitted_us + j->submit.wait_max_us);
    }
    if (j->again_head != NO_TASK && j->tasks[j->again_head].time_us + OWNER_ELSEWHERE_US > now_us) {
        due_us = IPX_MIN(due_us, j->tasks[j->again_head].time_us + OWNER_ELSEWHERE_US);
    }
    if (j->client != NULL && j->is_progress_due) {
        due_us = IPX_MIN(due_us, j->progress_us + OWNER_PROGRESS_US);
    }
    return IPX_MIN(due_us, j->kill_us);
}

static void seat_tick(struct owner *o, uint64_t now_us, struct owner_seat *s)
{
    if (s->state == OWNER_SEAT_REFUSED ? s->until_us > now_us : seat_deadline(s) > now_us) {
        return; /* a refusal also grows old while nothing waits */
    }
    switch ((enum owner_seat_state)s->state) {
    case OWNER_SEAT_ASKED:
        seat_refused(o, now_us, s, 0, 0);
        break;
    case OWNER_SEAT_REFUSED:
        sm_move(&exec_seat_table, &s->state, OWNER_SEAT_NEW);
        s->job->wants_pass = true;
        break;
    case OWNER_SEAT_OPEN:
        seat_lost(o, now_us, s);
        break;
    case OWNER_SEAT_BROKEN:
        if (seat_claims_end(s) <= now_us) {
            seat_lost(o, now_us, s);
        } else {
            sm_move(&exec_seat_table, &s->state, OWNER_SEAT_OPEN);
            seat_open(o, now_us, s);
        }
        break;
    case OWNER_SEAT_NEW:
    case OWNER_SEAT_GRANTED:
    case OWNER_SEAT_N:
        break;
    }
}

void job_tick(struct owner *o, uint64_t now_us, struct owner_job *j)
{
    for (uint16_t i = 0; i < j->n_seats; i++) {
        seat_tick(o, now_us, j->seats[i]);
    }
    if (j->submit.wait_max_us > 0 && job_n_unplaced(j) > 0 &&
        now_us - j->submitted_us >= j->submit.wait_max_us) {
        job_end_waiting(o, j, OWNER_TASK_FAILED, EXEC_END_WAIT);
    }
    if (now_us >= j->kill_us) {
        j->kill_us = NEVER_US;
        job_cancel(o, now_us, j, 9);
    }
    if (j->again_head != NO_TASK) {
        j->wants_pass = true;
    }
    job_dirty(o, j);
}

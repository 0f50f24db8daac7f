/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_states.h"

#include "exec/wire_client.h"

#define T(s) SM_TO(OWNER_TASK_##s)
#define ENDS (T(FAILED) | T(CANCELLED))

/* Every move to storing may come from any state that is not final: a late result of an attempt
 * given up long ago still counts if it is the first. */
static const struct sm_state task_states[OWNER_TASK_N] = {
    [OWNER_TASK_WAITING] = {"waiting", T(PROBING) | T(CLAIMED) | T(STORING) | ENDS, false},
    [OWNER_TASK_PROBING] = {"probing", T(WAITING) | T(CLAIMED) | T(STORING) | ENDS, false},
    [OWNER_TASK_CLAIMED] = {"claimed", T(RUNNING) | T(STORING) | T(WAITING) | T(LOST) | ENDS,
                            false},
    [OWNER_TASK_RUNNING] = {"running", T(STORING) | T(WAITING) | T(LOST) | ENDS, false},
    [OWNER_TASK_STORING] = {"storing", T(DONE) | T(WAITING) | T(LOST) | ENDS, false},
    [OWNER_TASK_DONE] = {"done", 0, true},
    [OWNER_TASK_FAILED] = {"failed", 0, true},
    [OWNER_TASK_CANCELLED] = {"cancelled", 0, true},
    [OWNER_TASK_LOST] = {"lost", T(WAITING) | ENDS, false},
};
const struct sm_table exec_task_table = {"exec task", task_states, OWNER_TASK_N};

#define J(s) SM_TO(OWNER_JOB_##s)

static const struct sm_state job_states[OWNER_JOB_N] = {
    [OWNER_JOB_RECEIVING] = {"receiving", J(ACTIVE) | J(CANCELLED), false},
    [OWNER_JOB_ACTIVE] = {"active", J(CANCELLING) | J(DONE) | J(FAILED), false},
    [OWNER_JOB_CANCELLING] = {"cancelling", J(DONE) | J(FAILED) | J(CANCELLED), false},
    [OWNER_JOB_DONE] = {"done", 0, true},
    [OWNER_JOB_FAILED] = {"failed", 0, true},
    [OWNER_JOB_CANCELLED] = {"cancelled", 0, true},
};
const struct sm_table exec_job_table = {"exec job", job_states, OWNER_JOB_N};

const char *exec_task_state_name(uint8_t state)
{
    return state < OWNER_TASK_N ? task_states[state].name : "unknown";
}

const char *exec_job_state_name(uint8_t state)
{
    return state < OWNER_JOB_N ? job_states[state].name : "unknown";
}

const char *exec_waiting_name(enum exec_waiting w)
{
    static const char *const names[] = {"not",    "probing", "full",  "no match",
                                        "policy", "limit",   "place", "link"};
    return (unsigned)w < ARRAY_LEN(names) ? names[w] : "unknown";
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/place_states.h"

#define T(s) SM_TO(PLACE_CLAIM_##s)

/* A queued claim that is cancelled, or whose program cannot be run, has a result without ever
 * having run. */
static const struct sm_state claim_states[PLACE_CLAIM_N] = {
    [PLACE_CLAIM_QUEUED] = {"queued", T(STARTING) | T(RESULT) | T(GONE), false},
    [PLACE_CLAIM_STARTING] = {"starting", T(RUNNING) | T(RESULT) | T(GONE), false},
    [PLACE_CLAIM_RUNNING] = {"running", T(DRAINING) | T(GONE), false},
    [PLACE_CLAIM_DRAINING] = {"draining", T(RESULT) | T(GONE), false},
    [PLACE_CLAIM_RESULT] = {"result", T(GONE), false},
    [PLACE_CLAIM_GONE] = {"gone", 0, true},
};
const struct sm_table exec_claim_table = {"exec claim", claim_states, PLACE_CLAIM_N};

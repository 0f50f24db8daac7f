/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The states of a claim at its place, with the table of allowed moves; printed in
 * docs/states.md.
 */
#include "base/sm.h"

enum place_claim_state {
    PLACE_CLAIM_QUEUED,   /* waits for slots; nothing of it exists yet */
    PLACE_CLAIM_STARTING, /* the process was asked for; holds its slots */
    PLACE_CLAIM_RUNNING,
    PLACE_CLAIM_DRAINING, /* ended; its output is being stored or sent */
    PLACE_CLAIM_RESULT,   /* its result is told until the owner acknowledges it */
    PLACE_CLAIM_GONE,     /* refused, acknowledged, or nobody wants it any more */
    PLACE_CLAIM_N
};

extern const struct sm_table exec_claim_table;

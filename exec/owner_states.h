/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The states of a job and of a task at its owner, with their tables of allowed
 * moves; printed in docs/states.md. Numbers travel to clients, so they stay.
 */
#include "base/sm.h"

enum owner_task_state {
    OWNER_TASK_WAITING, /* nowhere; never ran, or comes back */
    OWNER_TASK_PROBING, /* places are being asked on its behalf */
    OWNER_TASK_CLAIMED, /* a place has the right to run it */
    OWNER_TASK_RUNNING, /* its process was started */
    OWNER_TASK_STORING, /* ended; its output is being made safe here */
    OWNER_TASK_DONE,
    OWNER_TASK_FAILED,
    OWNER_TASK_CANCELLED,
    OWNER_TASK_LOST, /* its place is lost: back to waiting, or failed */
    OWNER_TASK_N
};

enum owner_job_state {
    OWNER_JOB_RECEIVING,  /* its items are still coming from the client */
    OWNER_JOB_ACTIVE,     /* tasks wait or run */
    OWNER_JOB_CANCELLING, /* no task starts any more; what runs is being ended */
    OWNER_JOB_DONE,
    OWNER_JOB_FAILED, /* ended, and a task failed */
    OWNER_JOB_CANCELLED,
    OWNER_JOB_N
};

extern const struct sm_table exec_task_table;
extern const struct sm_table exec_job_table;

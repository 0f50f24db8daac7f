/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Limits and times of the owner, each with its reason; those that both ends of a
 * stream must know are in exec/job.h.
 */
#include "exec/job.h"

#define NO_TASK UINT32_MAX
#define NO_SEAT UINT16_MAX
#define OWNER_SEATS_MAX 1024u /* places one job ever asked: 300 bytes each */
#define OWNER_FINISHED_TASKS_MAX (2u * EXEC_TASKS_MAX) /* tasks of kept finished jobs, in all */
#define OWNER_AGAIN_SCAN 16u              /* how far a seat looks for a task it may repeat */
#define OWNER_ELSEWHERE_US (5 * US_PER_S) /* a failed task waits so long for another place */
#define OWNER_REOPEN_MIN_US (100 * US_PER_MS)
#define OWNER_REOPEN_MAX_US (2 * US_PER_S)
#define OWNER_FULL_MIN_US (200 * US_PER_MS) /* a full place is asked again after that .. */
#define OWNER_FULL_MAX_US (5 * US_PER_S)    /* .. at the latest after that; FREE comes earlier */
#define OWNER_POLICY_US (60 * US_PER_S)     /* a policy may depend on load: ask again some time */
#define OWNER_SILENT_US (5 * US_PER_S)      /* after a probe without an answer */
#define OWNER_SLACK_US (5 * US_PER_S)       /* behind a claim's end and its quarter */
#define OWNER_UNDELIVERED_MAX (64u << 20)   /* then a job starts no more until its client reads */
#define OWNER_KEPT_MAX (16u << 20) /* delivered output of a job that `logs` can still show */
#define OWNER_PROGRESS_US (250 * US_PER_MS)
#define OWNER_KILL_US (5 * US_PER_S)      /* `cancel`: from TERM to KILL */
#define OWNER_SERIAL_MAX ((1u << 22) - 1) /* jobs of one life of the node: in object numbers */

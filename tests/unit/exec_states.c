/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/owner_core.h"
#include "exec/owner_states.h"
#include "exec/place_states.h"

/* Final states have no way out, others have one; all names are there and differ. */
static void check_table(const struct sm_table *t)
{
    for (uint32_t i = 0; i < t->n_states; i++) {
        CHECK(t->states[i].name != NULL);
        CHECK_EQ(t->states[i].is_final, t->states[i].next == 0);
        CHECK_EQ(t->states[i].next >> t->n_states, 0);
        for (uint32_t k = 0; k < i; k++) {
            CHECK(strcmp(t->states[i].name, t->states[k].name) != 0);
        }
    }
}

TEST(exec_states, tables)
{
    check_table(&exec_task_table);
    check_table(&exec_job_table);
    check_table(&exec_seat_table);
    check_table(&exec_claim_table);
    CHECK_STR(exec_task_state_name(OWNER_TASK_LOST), "lost");
    CHECK_STR(exec_task_state_name(OWNER_TASK_N), "unknown");
    CHECK_STR(exec_job_state_name(OWNER_JOB_DONE), "done");
    /* a done task is never run again; a lost place costs a task nothing */
    CHECK(!sm_may(&exec_task_table, OWNER_TASK_DONE, OWNER_TASK_WAITING));
    CHECK(sm_may(&exec_task_table, OWNER_TASK_LOST, OWNER_TASK_WAITING));
    CHECK(!sm_may(&exec_task_table, OWNER_TASK_RUNNING, OWNER_TASK_DONE)); /* stored first */
}

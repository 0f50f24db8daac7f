/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * State machines as tables. Every task, claim, link and lookup has one enum of
 * states and one table of allowed moves; a forbidden move is a bug of ours and
 * asserts. tools/states.py prints the tables into docs/states.md.
 */
#include "base/base.h"

struct sm_state {
    const char *name;
    uint32_t next; /* bit s set: a move to state s is allowed */
    bool is_final; /* no move leaves it */
};

struct sm_table {
    const char *name; /* "exec task" */
    const struct sm_state *states;
    uint32_t n_states; /* <= 32 */
};

#define SM_TO(s) (UINT32_C(1) << (s))

static inline bool sm_may(const struct sm_table *t, uint32_t from, uint32_t to)
{
    assert(from < t->n_states && to < t->n_states);
    return (t->states[from].next & SM_TO(to)) != 0;
}
/* Asserts that the move is in the table; the state is a u8 so that it packs into records. */
void sm_move(const struct sm_table *t, uint8_t *state, uint32_t to);
const char *sm_name(const struct sm_table *t, uint32_t state);

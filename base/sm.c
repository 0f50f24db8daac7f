/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"

void sm_move(const struct sm_table *t, uint8_t *state, uint32_t to)
{
    assert(t->n_states <= 32);
    assert(*state < t->n_states);
    assert(!t->states[*state].is_final);
    assert(sm_may(t, *state, to));
    *state = (uint8_t)to;
}

const char *sm_name(const struct sm_table *t, uint32_t state)
{
    assert(state < t->n_states);
    return t->states[state].name;
}

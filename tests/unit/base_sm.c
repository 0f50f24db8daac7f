/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"
#include "tests/harness.h"

enum lamp { LAMP_OFF, LAMP_ON, LAMP_BROKEN };

static const struct sm_state lamp_states[] = {
    [LAMP_OFF] = {"off", SM_TO(LAMP_ON), false},
    [LAMP_ON] = {"on", SM_TO(LAMP_OFF) | SM_TO(LAMP_BROKEN), false},
    [LAMP_BROKEN] = {"broken", 0, true},
};
static const struct sm_table lamp_table = {"lamp", lamp_states, ARRAY_LEN(lamp_states)};

TEST(base_sm, moves)
{
    static const bool may[3][3] = {{false, true, false}, {true, false, true}, {false}};
    for (uint32_t from = 0; from < 3; from++) {
        for (uint32_t to = 0; to < 3; to++) {
            CHECK_EQ(sm_may(&lamp_table, from, to), may[from][to]);
        }
    }
    uint8_t state = LAMP_OFF;
    sm_move(&lamp_table, &state, LAMP_ON);
    sm_move(&lamp_table, &state, LAMP_OFF);
    sm_move(&lamp_table, &state, LAMP_ON);
    CHECK_STR(sm_name(&lamp_table, state), "on");
    sm_move(&lamp_table, &state, LAMP_BROKEN);
    CHECK_EQ(state, LAMP_BROKEN);
    CHECK_STR(sm_name(&lamp_table, state), "broken");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/plant.h"

#include <string.h>

static const char *const names[] = {"none",  "refute",     "seq",    "claim",  "contact",
                                    "nonce", "generation", "window", "revoked"};
static enum plant planted;

#ifdef IPX_PLANTED
bool plant_is(enum plant bug)
{
    return planted == bug;
}
#endif

void plant_set(enum plant bug)
{
    planted = bug;
}

const char *plant_name(enum plant bug)
{
    return names[bug];
}

enum plant plant_by_name(const char *name)
{
    enum plant bug = PLANT_N;
    while (--bug > PLANT_NONE && strcmp(names[bug], name) != 0) {
    }
    return bug;
}

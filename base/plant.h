/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bugs that are planted to see whether the simulator finds them. What ships knows none: IPX_PLANT
 * is the constant false. tests/sim compiles the few files that use it once more, with IPX_PLANTED,
 * and chooses one (`sim_planted --plant NAME`).
 */
#include <stdbool.h>

enum plant {
    PLANT_NONE,
    PLANT_REFUTE,     /* a suspicion of oneself is not answered */
    PLANT_SEQ,        /* a record of a lower seq takes the place of a higher one */
    PLANT_CLAIM,      /* a slot that one claim holds is granted to another */
    PLANT_CONTACT,    /* what nobody has verified is handed on */
    PLANT_NONCE,      /* the nonce of a contact is not compared with its certificate's */
    PLANT_GENERATION, /* a generation is used that is not on the disk */
    PLANT_WINDOW,     /* the window of counters moves before the tag is checked */
    PLANT_REVOKED,    /* a revocation goes when the time it was made for is over, by any clock */
    PLANT_N
};

#ifdef IPX_PLANTED
bool plant_is(enum plant bug); /* tests/sim/plant.c */
#define IPX_PLANT(bug) plant_is(PLANT_##bug)
#else
#define IPX_PLANT(bug) false
#endif

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which bug of base/plant.h is in this process. Only `sim_planted` has any: IS_PLANTED. */
#include "base/plant.h"

#ifdef IPX_PLANTED
#define IS_PLANTED true
#else
#define IS_PLANTED false
#endif

void plant_set(enum plant bug);
const char *plant_name(enum plant bug);
enum plant plant_by_name(const char *name); /* PLANT_NONE: there is no such bug */

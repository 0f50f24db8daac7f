/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A moment as a person types it: "2026-11-23T09:30:00Z" (RFC 3339; a fraction, an offset such as
 * +01:00, a blank for the T, only a date or only hours and minutes of it may be given; without a
 * zone it is local time), Unix seconds "1790000000.5", or "-10min" before now. Pure: the caller
 * knows now and the local offset.
 */
#include "base/slice.h"

struct when_here {
    int64_t now_us;   /* Unix time */
    int32_t offset_s; /* of local time, east of Greenwich */
};
/* Conditions: IPX_MALFORMED (also before 1970 or after 9999). */
IPX_MUST_USE enum ipx_err when_parse(struct slice text, const struct when_here *here,
                                     int64_t *ret_us);

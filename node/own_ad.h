/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The own ad, put together from three parts: what the shell found at start (hardware, software),
 * the labels that users set at run time, and resources that come and go (live sources).
 *
 * A label set by a user wins over a found one of the same name, but reserved names (language.md
 * section 2) cannot be set. The user's part is kept as text, one `name=value` a line, which is
 * also how it is saved. Owned by node.c; pure.
 */
#include "base/label.h"

struct own_ad {
    struct mem *mem;
    struct ad *found; /* never NULL after init */
    struct ad *user;  /* labels only; never NULL after init */
};

/* Takes a reference to `found`. `saved` is what own_ad_save wrote, or empty. Conditions:
 * IPX_MALFORMED (saved). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err own_ad_init(struct own_ad *o, struct mem *mem, struct ad *found,
                                      struct slice saved);
void own_ad_done(struct own_ad *o);

/* "k=v" as typed. Conditions: IPX_MALFORMED (no `=`, bad name or value), IPX_DENIED (reserved
 * name), IPX_LIMIT (too many or too long). On a condition nothing has changed. */
IPX_MUST_USE enum ipx_err own_ad_set(struct own_ad *o, struct slice assignment);
/* Conditions: IPX_NOT_FOUND, IPX_DENIED (found by the node itself). */
IPX_MUST_USE enum ipx_err own_ad_unset(struct own_ad *o, struct slice name);
/* The user's part as text. */
void own_ad_save(const struct own_ad *o, struct writer *w);

/* The whole ad with `n` further resources. The caller owns the reference. Conditions: IPX_LIMIT
 * (over 4 KiB in all). */
IPX_MUST_USE enum ipx_err own_ad_build(const struct own_ad *o, const struct resource *resources,
                                       size_t n, struct ad **ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ads: signed by their owner with (boot, version), the newest wins whole (overlay 3.3).
 *
 * The owner signs a *note* {key, boot, version, hash and length of the content}. Note and content
 * travel together where they fit a packet; else the note alone, and the content is fetched over
 * a link and checked against the hash. Changes are limited at both ends.
 */
#include "gossip/pending.h"

#define GOSSIP_ADS_BURST 10 /* changes, then one more each minute (overlay 3.3) */
#define GOSSIP_ADS_REFILL_US (60 * US_PER_S)
#define GOSSIP_ADS_HEARD_BURST 20 /* what is taken from others: twice that, for clocks */
#define GOSSIP_ADS_HEARD_REFILL_US (30 * US_PER_S)
#define GOSSIP_ADS_INLINE_MAX 1000         /* longest item that rides in packets */
#define GOSSIP_ADS_FETCH_US (2 * US_PER_S) /* before the same ad is asked for again */
#define GOSSIP_AD_ITEM_MAX (GOSSIP_AD_MAX + 256)

/* Own ad: takes a reference. Over the rate it is told when the next change is due; of
 * several that wait, the last. */
void gossip_ads_set(struct gossip *g, uint64_t now_us, struct ad *ad);
/* Signs the own ad of this boot with the next version and queues it. */
void gossip_ads_publish(struct gossip *g, uint64_t now_us);
void gossip_ads_tick(struct gossip *g, uint64_t now_us);
uint64_t gossip_ads_deadline(const struct gossip *g);
/* An AD or AD_NOTE item of anybody. */
void gossip_ads_hear(struct gossip *g, uint64_t now_us, const struct gossip_item *item,
                     const struct gossip_peer *from);
/* The note as an item of its own, from a whole ad item. */
bool gossip_ads_note_item(struct slice ad_item, struct gossip_item *ret);

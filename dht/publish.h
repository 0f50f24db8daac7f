/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Our own NODE record: signed anew when its content changes (10 s apart at least)
 * and every 55 minutes, and put to the 8 members nearest to our position.
 *
 * Invariant: a seq is on disk before anything signed with it leaves the node, so
 * none is ever used for two contents (overlay 2.1). Part of dht.c's object; not
 * for use outside the folder.
 */
#include "dht/search.h"
#include "dht/store.h"

#define DHT_REPUBLISH_US (55 * 60 * US_PER_S)
#define DHT_PUBLISH_GAP_US (10 * US_PER_S)
#define DHT_PUBLISH_RETRY_US (60 * US_PER_S) /* nobody took it */

enum dht_publish_state {
    DHT_PUBLISH_NOTHING, /* nothing to publish, or nobody to give it to */
    DHT_PUBLISH_DUE,     /* at due_us */
    DHT_PUBLISH_SAVING,  /* the seq is on its way to the disk */
    DHT_PUBLISH_SEEKING, /* searching the holders */
    DHT_PUBLISH_STORING  /* waiting for what they say */
};
extern const struct sm_table dht_publish_table;

struct dht_publish {
    uint8_t state; /* enum dht_publish_state */
    bool has_wish; /* content is set */
    bool is_changed;
    bool is_seq_told;
    uint8_t next_target, n_targets, n_waiting, n_acks;
    struct dht_record content; /* seq: the last one used or being saved */
    uint64_t due_us, last_us;  /* last_us 0: never */
    uint64_t record_seq;       /* of `record`, the one signed last; 0: none */
    uint16_t record_len;
    uint8_t record[DHT_RECORD_MAX];
    struct dht_search *holders; /* STORING: the search that found them; owned */
};

void dht_publish_init(struct dht *d, uint64_t record_seq);
void dht_publish_done(struct dht *d);
void dht_publish_set(struct dht *d, const struct dht_record *content);
/* Members are there again: publish what is due. */
void dht_publish_on_joined(struct dht *d);
void dht_publish_on_seq_stored(struct dht *d, uint64_t seq);
void dht_publish_on_search(struct dht *d, struct dht_search *s);
/* A holder's answer; DHT_STATUS_MAX: none came. */
void dht_publish_on_stored(struct dht *d, uint8_t status, uint64_t seq);
void dht_publish_tick(struct dht *d);
bool dht_publish_poll(struct dht *d, struct dht_action *ret);
uint64_t dht_publish_deadline(const struct dht *d);

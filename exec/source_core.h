/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the live sources share. Private to exec/source*.c and exec/tap*.c.
 *
 * Invariants: a reader has told its stream everything before `told`, by frames or by gaps, and
 * sends from `next` on, told <= next <= end of the ring. `appended` and `pos` of a reader are on
 * one scale: what lies between them is what it still has to read. A tap has a stream (handle
 * != 0), or a time at which it tries again.
 */
#include "base/buf.h"
#include "exec/ring.h"
#include "exec/source.h"

#define READER_IDLE_US (2 * US_PER_S)    /* then a heartbeat */
#define READER_LIVE_FRAMES 256u          /* drop-old: never further behind than that .. */
#define READER_LIVE_BYTES (256u << 10)   /* .. or that */
#define SOURCE_LINGER_US (10 * US_PER_S) /* for readers of a source that ended */
#define SOURCE_WINDOW_FRAMES 65536u
#define TAP_RETRY_MIN_US (100 * US_PER_MS)
#define TAP_RETRY_MAX_US (2 * US_PER_S)
#define TAP_FIRST_US (10 * US_PER_S) /* to be had at all */
#define TAP_LOST_US (30 * US_PER_S)  /* to be had again: its node may be restarting */

struct source {
    uint32_t handle; /* of the publisher; 0: it is gone, readers get the rest */
    struct source_id id;
    uint64_t epoch;
    uint8_t *bytes; /* the PUBLISH as it came; `m` points into it */
    struct source_publish m;
    struct ring ring;
    uint64_t appended;          /* cost of all frames ever, as the ring counts */
    struct source_credit taken; /* from the publisher */
    struct source_credit told;  /* its credit */
    uint64_t gone_us;           /* when readers are given up */
    struct label labels[LABEL_RES_LABELS_MAX];
    uint16_t n_labels;
    uint8_t text[SOURCE_LABEL_BYTES]; /* of label values that were quoted */
    size_t text_len;
};

struct source_reader {
    uint32_t handle;
    struct source *source; /* NULL before TAP */
    enum source_policy policy;
    uint32_t sample;
    uint64_t live_from; /* frames from here on are new to this reader */
    uint64_t told, next, pos;
    enum source_gap_reason reason; /* of what lies between told and next */
    struct source_credit credit, sent;
    uint64_t sample_us; /* not before */
    uint64_t idle_us;   /* heartbeat due */
};

struct source_tap_in {
    uint32_t handle; /* of its stream; 0: none now */
    uint32_t client; /* 0: a task's */
    struct node_id node;
    char name[SOURCE_NAME_MAX + 1];
    struct source_tap m;
    bool was_open; /* `epoch` and `next` are known */
    uint64_t epoch, next;
    enum source_framing framing;
    struct source_credit granted, delivered, base; /* base: delivered when the stream was opened */
    uint64_t retry_us, backoff_us, give_up_us;
    /* of a task */
    struct buf bytes;
    enum ipx_err end;
};

enum source_client_kind { SOURCE_CLIENT_NEW, SOURCE_CLIENT_PUBLISH, SOURCE_CLIENT_TAP };
struct source_client {
    uint32_t handle; /* 0: free */
    enum source_client_kind kind;
    uint32_t rights;
    struct source *source;
    struct source_tap_in *tap;
};

struct sources {
    struct exec_core *core;
    struct mem *mem;
    struct ring_budget budget;
    struct source *sources[SOURCES_MAX];
    struct source_reader *readers[SOURCE_READERS_MAX];
    struct source_tap_in *taps[SOURCE_TAPS_MAX];
    struct source_client clients[EXEC_CLIENTS_MAX];
    uint32_t n_sources, n_readers, n_taps;
    uint64_t last_epoch;
    bool is_dirty, has_task_news;
};

struct writer sources_scratch(struct sources *s, unsigned which);
void sources_send(struct sources *s, uint32_t handle, uint8_t type, const struct writer *w);
struct source_client *sources_client_find(struct sources *s, uint32_t handle);
/* ERROR and the end of that client. */
void sources_client_error(struct sources *s, struct source_client *c, const struct exec_error *e);
void sources_client_end(struct sources *s, struct source_client *c);

/* source_publish.c */
void source_on_publish(struct sources *s, uint64_t now_us, struct source_client *c,
                       struct slice body);
void source_on_frames(struct sources *s, uint64_t now_us, struct source_client *c,
                      struct slice body);
void source_end(struct sources *s, uint64_t now_us, struct source *src); /* publisher gone */
void source_free(struct sources *s, uint32_t i);
struct source *source_find(const struct sources *s, struct slice name);
void source_send_credit(struct sources *s, struct source *src);

/* source_read.c */
void reader_open(struct sources *s, uint64_t now_us, struct source_reader *r, struct slice body);
bool reader_pump(struct sources *s, uint64_t now_us,
                 struct source_reader *r); /* false: it is over */
uint64_t reader_due(const struct source_reader *r);
void reader_free(struct sources *s, uint32_t i);

/* tap.c */
struct source_tap_in *tap_new(struct sources *s, const struct node_id *node, struct slice name);
void tap_free(struct sources *s, struct source_tap_in *t);
void tap_open(struct sources *s, uint64_t now_us, struct source_tap_in *t);
void tap_credit(struct sources *s, struct source_tap_in *t, const struct source_credit *granted);
void tap_tick(struct sources *s, uint64_t now_us, struct source_tap_in *t);
void tap_on_client(struct sources *s, uint64_t now_us, struct source_client *c, struct slice body);
/* Conditions: IPX_NOT_FOUND; IPX_CONFLICT: several, named in `list`. `ret_name` is the bare one. */
IPX_MUST_USE enum ipx_err tap_resolve(const struct sources *s, struct slice text,
                                      struct writer *list, struct node_id *ret_node,
                                      struct slice *ret_name);

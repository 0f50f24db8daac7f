/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of live sources: between a local command (publish, tap; protocol 7) and its
 * node, and between two nodes (protocol 3: the node that reads opens the stream to the
 * node that publishes). One command a stream: PUBLISH or TAP is its first message.
 *
 *   publish   client: PUBLISH, FRAMES ..   node: PUBLISHED, CREDIT .. or ERROR
 *   tap       client: TAP, TAP_CREDIT ..   node: OPENED, FRAMES | GAP | HEARTBEAT .., END or ERROR
 *   protocol 3: as tap; a name that is not published there is END{NOT_FOUND}.
 *
 * A source ends when its publisher closes the stream. A frame is named by (source id,
 * epoch, seq): the epoch is new with every PUBLISH, seq counts from 0 and never skips at
 * the publisher. What a reader missed is told by GAP: nothing is lost in silence.
 * All credits are totals since the begin of the stream; a frame costs its length plus
 * SOURCE_FRAME_COST bytes, and one that is begun within the credit may go beyond it.
 */
#include "exec/job.h"

#define SOURCE_FRAME_MAX (192u << 10)  /* one frame: a FRAMES message must fit EXEC_BODY_MAX */
#define SOURCE_BATCH_BYTES (64u << 10) /* a FRAMES message ends behind that .. */
#define SOURCE_BATCH_MAX 4096u         /* .. or with so many frames */
#define SOURCE_FRAME_COST 8u
#define SOURCE_NAME_MAX 48u /* as a label's name */
#define SOURCE_TEXT_MAX 96u /* kind, schema, topic */
#define SOURCE_LABELS_MAX 8u
#define SOURCE_LABEL_BYTES 1024u
#define SOURCE_WINDOW (256u << 10) /* a publisher's credit beyond what was taken */
#define SOURCE_RING_BYTES (64u << 20)
#define SOURCE_RING_AGE_US (UINT64_C(600) * US_PER_S)

enum source_msg {
    SOURCE_MSG_PUBLISH = 160,
    SOURCE_MSG_FRAMES = 161, /* publisher: without id and epoch, first counts from 0 */
    SOURCE_MSG_TAP = 162,
    SOURCE_MSG_TAP_CREDIT = 163,
    SOURCE_MSG_PUBLISHED = 168,
    SOURCE_MSG_CREDIT = 169, /* to the publisher: what it may have sent in all */
    SOURCE_MSG_OPENED = 170, /* also when the publisher is another one than before: new epoch */
    SOURCE_MSG_GAP = 171,
    SOURCE_MSG_HEARTBEAT = 172, /* each 2 s while nothing comes */
    SOURCE_MSG_END = 173,
    SOURCE_MSG_ERROR = 174 /* struct exec_error, by exec_error_decode */
};

struct source_id {
    uint8_t bytes[16]; /* of publisher and name: the same after a restart */
};

enum source_framing {
    SOURCE_FRAMING_LINES = 1,
    SOURCE_FRAMING_LENGTH = 2,
    SOURCE_FRAMING_SIZE = 3
};

struct source_publish {
    struct slice name, kind, schema, topic; /* the last three may be empty */
    enum source_framing framing;
    uint32_t frame_size;  /* of SIZE: bytes of every frame */
    uint64_t rate_milli;  /* frames in 1,000 s; 0 = irregular */
    uint64_t size;        /* typical frame; 0 = not said */
    uint64_t ring_age_us; /* 0: the default above, here and below */
    uint64_t ring_bytes, ring_frames;
    struct exec_list labels; /* "name=value" */
};
void source_publish_encode(const struct source_publish *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_publish_decode(struct slice in, struct source_publish *ret);

struct source_published {
    struct source_id id;
    uint64_t epoch;
};
void source_published_encode(const struct source_published *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_published_decode(struct slice in, struct source_published *ret);

struct source_credit { /* CREDIT, TAP_CREDIT: totals */
    uint64_t bytes, frames;
};
void source_credit_encode(const struct source_credit *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_credit_decode(struct slice in, struct source_credit *ret);

enum source_from {
    SOURCE_FROM_ALL = 1,
    SOURCE_FROM_LAST = 2, /* the newest one, then what comes */
    SOURCE_FROM_NEW = 3,
    SOURCE_FROM_SEQ = 4, /* value: seq; with `epoch`: go on after a broken link */
    SOURCE_FROM_AGO = 5, /* value: us before now, by arrival */
    SOURCE_FROM_TIME = 6 /* value: Unix us of the source */
};
enum source_policy {
    SOURCE_POLICY_BLOCK = 1,    /* the publisher waits for this reader when the ring is full */
    SOURCE_POLICY_DROP_OLD = 2, /* live: it is never far behind */
    SOURCE_POLICY_SAMPLE = 3    /* the newest frame, at most `sample` a second */
};
struct source_tap {
    struct slice name; /* client: name, lab/name, lab/name@node; between nodes: the bare name */
    enum source_from from;
    enum source_policy policy;
    uint64_t value, epoch;
    uint32_t sample;
    struct source_credit credit; /* to begin with */
};
void source_tap_encode(const struct source_tap *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_tap_decode(struct slice in, struct source_tap *ret);

struct source_opened {
    struct source_id id;
    uint64_t epoch, next; /* the first frame that will come, if none is missed */
    struct slice name, kind, schema, topic;
    enum source_framing framing;
    uint32_t frame_size;
    uint64_t rate_milli;
    struct slice node, lab; /* of the publisher */
};
void source_opened_encode(const struct source_opened *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_opened_decode(struct slice in, struct source_opened *ret);

enum source_gap_reason {
    SOURCE_GAP_EVICTED = 1, /* the ring no longer has it */
    SOURCE_GAP_SLOW = 2,    /* drop-old: this reader was too slow */
    SOURCE_GAP_SAMPLED = 3
};
const char *source_gap_name(enum source_gap_reason r);
struct source_gap {
    uint64_t epoch, first, last; /* both missed, and all between */
    enum source_gap_reason reason;
};
void source_gap_encode(const struct source_gap *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_gap_decode(struct slice in, struct source_gap *ret);

struct source_heartbeat {
    uint64_t epoch, next; /* nothing before `next` is still to come */
};
void source_heartbeat_encode(const struct source_heartbeat *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_heartbeat_decode(struct slice in, struct source_heartbeat *ret);

struct source_end {
    uint32_t err; /* enum ipx_err, positive: END = the publisher ended, NOT_FOUND, UNREACHABLE */
};
void source_end_encode(const struct source_end *m, struct writer *w);
IPX_MUST_USE enum ipx_err source_end_decode(struct slice in, struct source_end *ret);

/* FRAMES: consecutive ones. `raw` holds time and bytes of each, end to end. */
struct source_frame {
    int64_t time_us; /* Unix us, by the source's clock; 0 = not known */
    struct slice bytes;
};
struct source_frames {
    struct source_id id;
    uint64_t epoch, first;
    uint32_t n;
    uint64_t cost; /* of all; not on the wire */
    struct slice raw;
};
void source_frame_encode(const struct source_frame *m, struct writer *w);
void source_frames_encode(const struct source_frames *m, struct writer *w);
/* Checks every frame in it. */
IPX_MUST_USE enum ipx_err source_frames_decode(struct slice in, struct source_frames *ret);
/* Walks: struct cbor_reader it = source_frames_begin(&m); n times source_frame_next(&it). */
struct cbor_reader source_frames_begin(const struct source_frames *m);
struct source_frame source_frame_next(struct cbor_reader *it);

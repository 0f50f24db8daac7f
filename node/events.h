/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What happened at this node, for people: the last events in EVENTS_BYTES of memory, numbered from
 * 1 in the order they came. The oldest go when there is no room; who asks for one of those is told
 * by `first` how many are gone. Pure; fed by the node, read by control_events.c.
 *
 * An event that is the same as the last one in all but time is not kept twice.
 */
#include "base/mem.h"
#include "base/slice.h"

#define EVENTS_BYTES 8192 /* about 150 events */
#define EVENTS_WHO_MAX 64 /* lab/name, or the short id */
#define EVENTS_TEXT_MAX 160

enum events_kind {
    EVENTS_START,
    EVENTS_MEMBER_UP,
    EVENTS_MEMBER_SUSPECT,
    EVENTS_MEMBER_DOWN,
    EVENTS_MEMBER_LEFT,
    EVENTS_CLONE,
    EVENTS_REVOKED,
    EVENTS_LABEL,
    EVENTS_POLICY,
    EVENTS_LINK_UP,
    EVENTS_LINK_DOWN,
    EVENTS_ADMITTED,
    EVENTS_REFUSED,
    EVENTS_SOURCE_UP,
    EVENTS_SOURCE_DOWN,
    EVENTS_JOB_BEGIN,
    EVENTS_JOB_END,
    EVENTS_MANY_ADMITTED,
    EVENTS_N
};

struct events_one {
    uint64_t seq;
    int64_t wall_ms; /* 0: not known then */
    enum events_kind kind;
    struct slice who, text; /* valid until the next events_add */
};

struct events {
    struct mem *mem;
    uint8_t *bytes; /* records, oldest first, end to end */
    size_t len;
    size_t last;          /* where the newest begins */
    uint64_t first, next; /* numbers of the oldest there is, and of the next one */
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err events_init(struct events *e, struct mem *mem);
void events_done(struct events *e); /* also of a zeroed one */
/* Longer texts are cut. Returns false if it was the same as the last one. */
bool events_add(struct events *e, int64_t wall_ms, enum events_kind kind, struct slice who,
                struct slice text);
/* The event of that number. Conditions: IPX_NOT_FOUND (gone, or not yet). */
IPX_MUST_USE enum ipx_err events_get(const struct events *e, uint64_t seq, struct events_one *ret);
const char *events_kind_name(enum events_kind kind); /* "member-up" */
void events_check(const struct events *e);

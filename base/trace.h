/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Trace records of the cores: what was decided, as numbers, not as text. The
 * shell formats, filters and counts them; scenario tests compare their text.
 * The one place that decides something traces it, once.
 */
#include "base/id.h"

enum trace_module {
    TRACE_NODE,
    TRACE_SESSION,
    TRACE_LINK,
    TRACE_DHT,
    TRACE_GOSSIP,
    TRACE_EXEC,
    TRACE_SOURCE
};

struct trace_record {
    uint64_t now_us;
    enum trace_module module;
    const char *event;          /* static string, lower case: "suspect", "claim granted" */
    const struct node_id *peer; /* NULL if none; valid during the call only */
    uint64_t a, b;              /* meaning given by the event */
};

/* `sink` NULL drops everything. Called synchronously: it must not call back into a core. */
struct trace {
    void (*sink)(void *user, const struct trace_record *record);
    void *user;
};

static inline void trace_emit(const struct trace *t, uint64_t now_us, enum trace_module module,
                              const char *event, const struct node_id *peer, uint64_t a, uint64_t b)
{
    if (t != NULL && t->sink != NULL) {
        t->sink(t->user, &(struct trace_record){now_us, module, event, peer, a, b});
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/exec.h"

#include "exec/owner.h"
#include "exec/place.h"
#include "exec/source.h"

/* Routes every input to owner, place or sources: by type, by handle, by object. */

enum ipx_err exec_new(const struct exec_config *config, struct mem *mem, struct exec **ret)
{
    struct exec *x = mem_alloc(mem, sizeof(*x));
    if (x == NULL) {
        return IPX_NO_MEMORY;
    }
    x->core.mem = mem;
    x->core.trace = config->trace;
    x->core.key = config->key;
    x->core.mesh = config->mesh;
    x->core.self = config->self;
    x->core.n_slots = config->n_slots;
    rng_split(config->rng, "exec", &x->core.rng);
    x->core.own_scratch = config->scratch == NULL ? mem_alloc(mem, sizeof(*config->scratch)) : NULL;
    x->core.scratch = config->scratch == NULL ? x->core.own_scratch : config->scratch;
    match_init(&x->core.match, mem);
    out_init(&x->core.out, mem);
    if (x->core.scratch == NULL || owner_new(&x->core, &x->owner) != IPX_OK ||
        place_new(&x->core, &x->place) != IPX_OK || sources_new(&x->core, &x->sources) != IPX_OK) {
        exec_free(x);
        return IPX_NO_MEMORY;
    }
    x->core.sources = x->sources;
    *ret = x;
    return IPX_OK;
}

void exec_free(struct exec *x)
{
    if (x == NULL) {
        return;
    }
    owner_free(x->owner);
    place_free(x->place);
    sources_free(x->sources);
    match_done(&x->core.match);
    out_done(&x->core.out);
    mem_free(x->core.mem, x->core.own_scratch);
    mem_free(x->core.mem, x);
}

/* --- the own node --- */

void exec_set_self(struct exec *x, const struct cert_facts *self)
{
    assert(node_id_equal(&x->core.self.id, &self->id));
    x->core.self = *self;
}

void exec_set_accept(struct exec *x, struct query *accept)
{
    place_set_accept(x->place, accept);
}

void exec_set_holds_issuer(struct exec *x, bool holds)
{
    place_set_holds_issuer(x->place, holds);
}

void exec_set_drain(struct exec *x, bool drains)
{
    place_set_drain(x->place, drains);
}

void exec_on_clock(struct exec *x, uint64_t now_us, int64_t wall_ms)
{
    x->core.wall_minus_now_ms = wall_ms - (int64_t)(now_us / US_PER_MS);
}

/* --- members --- */

void exec_on_peer(struct exec *x, uint64_t now_us, const struct cert_facts *facts, struct ad *ad,
                  const struct exec_vitals *vitals, uint64_t srtt_us)
{
    const struct match_peer *p = match_set(&x->core.match, now_us, facts, ad, vitals, srtt_us);
    if (p != NULL) {
        owner_on_peer(x->owner, now_us, p);
    }
}

void exec_on_peer_gone(struct exec *x, uint64_t now_us, const struct node_id *id)
{
    if (match_remove(&x->core.match, id)) {
        owner_on_peer_gone(x->owner, now_us, id);
        place_on_peer_gone(x->place, now_us, id);
    }
}

void exec_on_peer_revoked(struct exec *x, uint64_t now_us, const struct node_id *id)
{
    exec_on_peer_gone(x, now_us, id);
    place_on_peer_revoked(x->place, now_us, id); /* though it was gone before */
}

void exec_recv(struct exec *x, uint64_t now_us, const struct cert_facts *from, uint8_t type,
               uint32_t req_id, struct slice body)
{
    if (type == EXEC_MSG_PROBE) {
        place_recv(x->place, now_us, from, type, req_id, body);
    } else if (type == EXEC_MSG_GRANT || type == EXEC_MSG_REFUSAL || type == EXEC_MSG_FREE) {
        owner_recv(x->owner, now_us, from, type, req_id, body);
    } else {
        x->core.n_malformed++;
    }
}

/* --- streams --- */

void exec_on_stream(struct exec *x, uint64_t now_us, const struct cert_facts *from, uint32_t handle,
                    uint8_t protocol)
{
    assert(handle > INT32_MAX);
    if (protocol == 2) {
        place_on_stream(x->place, now_us, from, handle);
    } else if (protocol == 3) {
        sources_on_stream(x->sources, now_us, from, handle);
    } else {
        out_stream_close(&x->core.out, handle, IPX_REFUSED);
    }
}

void exec_on_stream_message(struct exec *x, uint64_t now_us, uint32_t handle, uint8_t type,
                            struct slice body)
{
    if (handle > INT32_MAX) {
        if (!place_on_stream_message(x->place, now_us, handle, type, body)) {
            (void)sources_on_stream_message(x->sources, now_us, handle, type, body);
        }
        return;
    }
    const struct core_stream *s = core_stream_find(&x->core, handle);
    if (s != NULL && s->kind == CORE_STREAM_OWNER) {
        owner_on_stream_message(x->owner, now_us, s->user, type, body);
    } else if (s != NULL) {
        sources_on_tap_message(x->sources, now_us, s->user, type, body);
    }
}

void exec_on_stream_closed(struct exec *x, uint64_t now_us, uint32_t handle, enum ipx_err err)
{
    if (handle > INT32_MAX) {
        if (!place_on_stream_closed(x->place, now_us, handle, err)) {
            (void)sources_on_stream_closed(x->sources, now_us, handle);
        }
        return;
    }
    const struct core_stream *s = core_stream_find(&x->core, handle);
    if (s != NULL && s->kind == CORE_STREAM_OWNER) {
        owner_on_stream_closed(x->owner, now_us, s->user, err);
    } else if (s != NULL) {
        sources_on_tap_closed(x->sources, now_us, s->user, err);
    }
}

/* --- clients --- */

void exec_on_client(struct exec *x, uint64_t now_us, uint32_t handle, const char *user,
                    uint32_t rights)
{
    assert(handle > INT32_MAX);
    owner_on_client(x->owner, now_us, handle, user, rights);
}

void exec_on_client_message(struct exec *x, uint64_t now_us, uint32_t handle, uint8_t type,
                            struct slice body)
{
    if (!owner_on_client_message(x->owner, now_us, handle, type, body)) {
        (void)sources_on_client_message(x->sources, now_us, handle, type, body);
    }
}

void exec_on_client_closed(struct exec *x, uint64_t now_us, uint32_t handle)
{
    if (!owner_on_client_closed(x->owner, now_us, handle)) {
        (void)sources_on_client_closed(x->sources, now_us, handle);
    }
}

/* --- processes and storage --- */

void exec_on_started(struct exec *x, uint64_t now_us, uint64_t attempt, enum ipx_err err)
{
    place_on_started(x->place, now_us, attempt, err);
}

void exec_on_output(struct exec *x, uint64_t now_us, uint64_t attempt, uint8_t fd,
                    struct slice bytes, bool eof)
{
    place_on_output(x->place, now_us, attempt, fd, bytes, eof);
}

void exec_on_exit(struct exec *x, uint64_t now_us, uint64_t attempt, uint8_t code, uint8_t signal,
                  uint64_t cpu_us)
{
    place_on_exit(x->place, now_us, attempt, code, signal, cpu_us);
}

void exec_on_stdin_taken(struct exec *x, uint64_t now_us, uint64_t attempt)
{
    place_on_stdin_taken(x->place, now_us, attempt);
}

void exec_on_stored(struct exec *x, uint64_t now_us, uint64_t object, enum ipx_err err)
{
    if ((object & CORE_OBJECT_PLACE) != 0) {
        place_on_stored(x->place, now_us, object, err);
    } else {
        owner_on_stored(x->owner, now_us, object, err);
    }
}

void exec_on_loaded(struct exec *x, uint64_t now_us, uint64_t object, uint64_t offset,
                    struct slice bytes)
{
    if ((object & CORE_OBJECT_PLACE) != 0) {
        place_on_loaded(x->place, now_us, object, offset, bytes);
    } else {
        owner_on_loaded(x->owner, now_us, object, offset, bytes);
    }
}

/* --- time and actions --- */

void exec_tick(struct exec *x, uint64_t now_us)
{
    owner_tick(x->owner, now_us);
    place_tick(x->place, now_us);
    sources_tick(x->sources, now_us);
}

uint64_t exec_deadline(const struct exec *x)
{
    uint64_t jobs_us = IPX_MIN(owner_deadline(x->owner), place_deadline(x->place));
    return IPX_MIN(jobs_us, sources_deadline(x->sources));
}

/* A message was lost for want of memory: the stream is as good as broken, which both sides can
 * recover from. */
static void break_streams(struct exec *x, uint64_t now_us)
{
    uint32_t handle;
    while ((handle = out_take_broken(&x->core.out)) != 0) {
        bool is_known = core_stream_find(&x->core, handle) != NULL ||
                        owner_on_client_closed(x->owner, now_us, handle) ||
                        sources_on_client_closed(x->sources, now_us, handle) ||
                        sources_on_stream_closed(x->sources, now_us, handle) ||
                        place_on_stream_closed(x->place, now_us, handle, IPX_NO_MEMORY);
        if (core_stream_find(&x->core, handle) != NULL) {
            exec_on_stream_closed(x, now_us, handle, IPX_NO_MEMORY);
        }
        if (is_known) {
            out_stream_close(&x->core.out, handle, IPX_NO_MEMORY);
        }
    }
}

bool exec_poll(struct exec *x, uint64_t now_us, struct exec_action *ret)
{
    if (out_poll(&x->core.out, ret)) {
        return true;
    }
    /* What owner and place have gathered goes out when everything before it is out. */
    for (bool has_more = true; has_more;) {
        break_streams(x, now_us);
        has_more = owner_flush(x->owner, now_us);
        has_more = sources_flush(x->sources, now_us) || has_more;
        has_more = place_flush(x->place, now_us) || has_more;
        if (out_poll(&x->core.out, ret)) {
            return true;
        }
    }
    return false;
}

/* --- queries --- */

void exec_vitals(const struct exec *x, struct exec_vitals *ret)
{
    place_vitals(x->place, ret);
}

void exec_stats(const struct exec *x, struct exec_stats *ret)
{
    *ret = (struct exec_stats){.n_malformed = x->core.n_malformed, .n_streams = x->core.n_streams};
    owner_stats(x->owner, ret);
    place_stats(x->place, ret);
}

const struct ad *exec_ad_of(const struct exec *x, const struct node_id *id)
{
    const struct match_peer *p = match_find(&x->core.match, id);
    return p != NULL ? p->ad : NULL;
}

bool exec_is_true(const struct exec *x, uint64_t now_us, const struct exec_view *v,
                  const struct query *q)
{
    struct match_env env;
    struct match_peer p = {.facts = *v->facts,
                           .ad = v->ad,
                           .vitals = *v->vitals,
                           .vitals_us = now_us,
                           .srtt_us = v->srtt_us};
    struct match_job job = {.lab = x->core.self.lab, .needs = {.cpu = 1}};
    match_env_init(&env, &p, &job, now_us);
    return query_is_true(q, &env.env);
}

bool exec_meant_label(const struct exec *x, const struct query *q, struct exec_meant *ret)
{
    return meant_label(&x->core.match, q, ret);
}

void exec_meant_node(const struct exec *x, struct slice text, char ret[static MEANT_SIZE])
{
    meant_node(&x->core.match, text, ret);
}

bool exec_is_idle(const struct exec *x)
{
    return owner_is_idle(x->owner) && place_is_idle(x->place);
}

void exec_check(const struct exec *x)
{
    assert(x->core.n_streams <= EXEC_STREAMS_MAX);
    owner_check(x->owner);
    place_check(x->place);
    sources_check(x->sources);
}

/* --- sources --- */

size_t exec_sources(const struct exec *x, struct resource *ret, size_t max)
{
    return sources_list(x->sources, ret, max);
}

void exec_on_source_client(struct exec *x, uint64_t now_us, uint32_t handle, const char *user,
                           uint32_t rights)
{
    assert(handle > INT32_MAX);
    sources_on_client(x->sources, now_us, handle, user, rights);
}

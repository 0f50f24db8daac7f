/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line is shown: one row a thing, fields in the order people read them. */
#include "node/control.h"
#include "node/handshake.h"

#include <stdio.h>

static const char *state_name(const struct node *n)
{
    if (!n->has_cores) {
        return "joining";
    }
    return gossip_n_live(&n->gossip) > 1 ? "member" : "alone";
}

static size_t count_labs(const struct node *n)
{
    size_t n_labs = 0;
    for (const struct gossip_member *m = members_next(n, NULL); m != NULL; m = members_next(n, m)) {
        bool is_first = gossip_member_is_live(m);
        for (const struct gossip_member *o = members_next(n, NULL); is_first && o != m;
             o = members_next(n, o)) {
            is_first = !gossip_member_is_live(o) || strcmp(o->facts.lab, m->facts.lab) != 0;
        }
        n_labs += is_first;
    }
    return n_labs;
}

static size_t count_sources(const struct node *n)
{
    size_t n_sources = 0;
    for (const struct gossip_member *m = members_next(n, NULL); m != NULL; m = members_next(n, m)) {
        for (size_t i = 0; m->ad != NULL && gossip_member_is_live(m) && i < m->ad->n_resources;
             i++) {
            n_sources += slice_equal(m->ad->resources[i].kind, slice_text("source"));
        }
    }
    return n_sources;
}

static void listen_text(const struct node *n, char *out, size_t size)
{
    char addr[ADDR_TEXT_SIZE];
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n->config.n_listen && used + sizeof(addr) < size; i++) {
        addr_text(&n->config.listen[i], addr);
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", addr);
    }
    if (n->config.coat.family != ADDR_NONE) {
        addr_text(&n->config.coat, addr);
        snprintf(out + used, size - used, "%stls:%s", used > 0 ? " " : "", addr);
    }
}

/* When any other member was heard last; 0: never. */
static uint64_t last_heard_us(const struct node *n)
{
    uint64_t last = 0;
    for (const struct gossip_member *m = gossip_next(&n->gossip, NULL); m != NULL;
         m = gossip_next(&n->gossip, m)) {
        last = IPX_MAX(last, m->heard_us);
    }
    return last;
}

void control_status(struct control_call *c)
{
    struct node *n = c->n;
    char id[ID_SHORT_LEN + 1], mesh[33], listen[(NODE_LISTEN_MAX + 2) * ADDR_TEXT_SIZE];
    struct exec_stats stats = {0};
    struct exec_vitals vitals = {0};
    if (n->has_cores) {
        exec_stats(n->exec, &stats);
        exec_vitals(n->exec, &vitals);
    }
    node_id_short(&n->config.key.pk, id);
    hex_encode(slice_of(n->config.mesh.bytes, sizeof(n->config.mesh.bytes)), mesh);
    listen_text(n, listen, sizeof(listen));
    struct writer w = call_writer(c);
    control_row_begin(&w, 19);
    control_row_text(&w, "state", state_name(n));
    control_row_text(&w, "name", n->self.name);
    control_row_text(&w, "lab", n->self.lab);
    control_row_text(&w, "node", id);
    control_row_text(&w, "mesh_id", mesh);
    control_row_u64(&w, "members", n->has_cores ? gossip_n_live(&n->gossip) : 0);
    control_row_u64(&w, "labs", n->has_cores ? count_labs(n) : 0);
    control_row_u64(&w, "sources", n->has_cores ? count_sources(n) : 0);
    control_row_u64(&w, "jobs", stats.n_jobs);
    control_row_u64(&w, "running", stats.n_running);
    control_row_u64(&w, "slots", vitals.n_slots);
    control_row_u64(&w, "free", vitals.n_free);
    control_row_slice(&w, "accept", query_source(n->accept));
    control_row_text(&w, "listen", listen);
    control_row_u64(&w, "uptime_s", (n->now_us - n->started_us) / US_PER_S);
    control_row_u64(&w, "join_ms", n->join.took_us / US_PER_MS);
    control_row_text(&w, "version", n->config.version);
    control_row_u64(&w, "cert_until_ms", (uint64_t)n->self.not_after_ms);
    uint64_t heard_us = n->has_cores ? last_heard_us(n) : 0;
    if (heard_us > 0) {
        control_row_double(&w, "heard_s", (double)(n->now_us - heard_us) / 1e6);
    } else {
        control_row_null(&w, "heard_s");
    }
    call_row(c, &w);
    call_end(c, 0);
}

static const char *member_state(const struct gossip_member *m)
{
    switch ((enum gossip_state)m->state) {
    case GOSSIP_STATE_ALIVE:
        return "alive";
    case GOSSIP_STATE_SUSPECT:
        return "suspect";
    case GOSSIP_STATE_DEAD:
        return "dead";
    case GOSSIP_STATE_LEFT:
        return "left";
    }
    return "unknown";
}

/* True of the member with the resources of `ad`: `where` means the same here as in `run`. */
static bool passes(struct node *n, const struct gossip_member *m, struct ad *ad,
                   const struct query *q)
{
    struct exec_vitals vitals;
    if (q == NULL || ad == NULL) {
        return q == NULL;
    }
    members_vitals(n, m, &vitals);
    return exec_is_true(
        n->exec, n->now_us,
        &(struct exec_view){.facts = &m->facts, .ad = ad, .vitals = &vitals, .srtt_us = m->srtt_us},
        q);
}

static uint64_t cores_of(const struct gossip_member *m)
{
    const struct label_value *v = m->ad == NULL ? NULL : ad_find(m->ad, slice_text("cpu.cores"));
    return v != NULL && v->type == LABEL_NUMBER ? (uint64_t)v->number : 0;
}

static void node_row(struct control_call *c, const struct gossip_member *m)
{
    struct node *n = c->n;
    bool is_self = m == gossip_self(&n->gossip);
    char name[GOSSIP_NAME_SIZE], id[ID_SHORT_LEN + 1], addr[ADDR_TEXT_SIZE];
    struct exec_vitals own = {0};
    if (is_self) {
        exec_vitals(n->exec, &own);
    }
    gossip_display_name(&n->gossip, m, name);
    node_id_short(&m->facts.id, id);
    addr_text(m->n_addrs > 0 ? &m->addrs[0] : &m->addr, addr);
    struct writer w = call_writer(c);
    control_row_begin(&w, 12);
    control_row_text(&w, "name", name);
    control_row_text(&w, "lab", m->facts.lab);
    control_row_text(&w, "node", id);
    control_row_text(&w, "state", member_state(m));
    control_row_u64(&w, "cores", cores_of(m));
    control_row_u64(&w, "free", is_self ? own.n_free : m->vitals.free_slots);
    control_row_double(&w, "load", is_self ? n->measured.load : m->vitals.load_permille / 1000.0);
    if (is_self || m->srtt_us > 0) {
        control_row_double(&w, "rtt_ms", m->srtt_us / 1000.0);
    } else {
        control_row_null(&w, "rtt_ms"); /* not measured yet */
    }
    control_row_double(&w, "age_s",
                       is_self || m->heard_us == 0 ? 0.0 : (double)(n->now_us - m->heard_us) / 1e6);
    control_row_text(&w, "addr", addr);
    control_row_text(&w, "role", cert_role_text(m->facts.caps));
    control_row_u64(&w, "mem_free",
                    is_self ? n->measured.mem_free : (uint64_t)m->vitals.mem_free_mib << 20);
    call_row(c, &w);
}

void control_nodes(struct control_call *c)
{
    struct query *where;
    if (call_query(c, 0, &where) != IPX_OK) {
        return;
    }
    size_t n_shown = 0;
    for (const struct gossip_member *m = members_next(c->n, NULL); m != NULL;
         m = members_next(c->n, m)) {
        if (passes(c->n, m, m->ad, where)) {
            node_row(c, m);
            n_shown++;
        }
    }
    call_meant(c, where, n_shown == 0);
    query_unref(where);
    call_end(c, 0);
}

/* The shown form of one label's value, e.g. 25Hz; strings without their quotes. */
static void value_text(const struct label_value *v, char *out, size_t size)
{
    out[0] = '\0';
    if (v == NULL) {
        return;
    }
    if (v->type == LABEL_STRING) {
        snprintf(out, size, "%.*s", (int)v->text.len, (const char *)v->text.data);
        return;
    }
    struct writer w = writer_of(out, size - 1);
    label_value_print(v, &w);
    out[w.failed ? 0 : w.len] = '\0';
}

static void peer_row(struct control_call *c, const struct gossip_member *m)
{
    static const char *const paths[] = {"none", "session", "link", "session+link"};
    char name[GOSSIP_NAME_SIZE], id[ID_SHORT_LEN + 1], addr[ADDR_TEXT_SIZE];
    char version[LABEL_STRING_MAX + 1];
    struct members_path path;
    members_path(c->n, m, &path);
    gossip_display_name(&c->n->gossip, m, name);
    node_id_short(&m->facts.id, id);
    addr_text(&path.addr, addr);
    value_text(m->ad != NULL ? ad_find(m->ad, slice_text("node.version")) : NULL, version,
               sizeof(version));
    struct writer w = call_writer(c);
    control_row_begin(&w, 13);
    control_row_text(&w, "name", name);
    control_row_text(&w, "node", id);
    control_row_text(&w, "state", member_state(m));
    control_row_text(&w, "path", paths[path.has_session | path.has_link << 1]);
    control_row_text(&w, "family",
                     path.addr.family == ADDR_NONE ? ""
                     : path.addr.family == ADDR_V4 ? "v4"
                                                   : "v6");
    control_row_text(&w, "addr", addr);
    if (path.rtt_us > 0) {
        control_row_double(&w, "rtt_ms", (double)path.rtt_us / 1000.0);
    } else {
        control_row_null(&w, "rtt_ms");
    }
    if (m->n_probes > 0) {
        control_row_double(&w, "loss", (double)__builtin_popcount(m->probes_lost) / m->n_probes);
    } else {
        control_row_null(&w, "loss");
    }
    control_row_u64(&w, "probes", m->n_probes);
    if (path.has_session || path.has_link) {
        control_row_u64(&w, "wire", HANDSHAKE_WIRE_VERSION); /* of another there is no path */
    } else {
        control_row_null(&w, "wire");
    }
    control_row_text(&w, "version", version);
    control_row_bool(&w, "session", path.has_session);
    control_row_bool(&w, "link", path.has_link);
    call_row(c, &w);
}

void control_peers(struct control_call *c)
{
    const struct gossip *g = &c->n->gossip;
    for (const struct gossip_member *m = gossip_next(g, NULL); m != NULL; m = gossip_next(g, m)) {
        peer_row(c, m);
    }
    call_end(c, 0);
}

static void field_row(struct writer *w, const char *key, const struct resource *r)
{
    char text[LABEL_STRING_MAX + 1];
    value_text(resource_find(r, slice_text(key)), text, sizeof(text));
    control_row_text(w, key, text);
}

static void source_row(struct control_call *c, const struct gossip_member *m,
                       const struct resource *r)
{
    char name[GOSSIP_NAME_SIZE];
    gossip_display_name(&c->n->gossip, m, name);
    struct writer w = call_writer(c);
    control_row_begin(&w, 9);
    field_row(&w, "name", r);
    control_row_text(&w, "lab", m->facts.lab);
    control_row_text(&w, "node", name);
    field_row(&w, "kind", r);
    field_row(&w, "rate", r);
    field_row(&w, "size", r);
    field_row(&w, "replay", r);
    field_row(&w, "schema", r);
    field_row(&w, "topic", r);
    call_row(c, &w);
}

/* `sources --where '.kind == "camera"'` asks about the fields of one source: it is evaluated as
 * `any source (..)` over an ad that has this source alone. */
static bool source_passes(struct control_call *c, const struct gossip_member *m,
                          const struct resource *r, const struct query *q)
{
    struct resource only = *r;
    struct ad ad = *m->ad;
    ad.resources = &only;
    ad.n_resources = 1;
    return passes(c->n, m, &ad, q);
}

static enum ipx_err source_query(struct control_call *c, struct query **ret)
{
    char text[QUERY_SOURCE_MAX + 16];
    struct slice where = call_arg(c, 0);
    struct control_request request = {.n_args = where.len > 0, .args = {SLICE_EMPTY}};
    struct control_call inner = *c;
    int len = snprintf(text, sizeof(text), "any source (%.*s)",
                       (int)IPX_MIN(where.len, (size_t)QUERY_SOURCE_MAX),
                       where.len > 0 ? (const char *)where.data : "");
    request.args[0] = slice_of(text, (size_t)len);
    inner.request = &request;
    return call_query(&inner, 0, ret);
}

void control_sources(struct control_call *c)
{
    struct query *where;
    size_t n_sources = 0, n_shown = 0;
    if (source_query(c, &where) != IPX_OK) {
        return;
    }
    for (const struct gossip_member *m = members_next(c->n, NULL); m != NULL;
         m = members_next(c->n, m)) {
        for (size_t i = 0; m->ad != NULL && gossip_member_is_live(m) && i < m->ad->n_resources;
             i++) {
            const struct resource *r = &m->ad->resources[i];
            if (!slice_equal(r->kind, slice_text("source"))) {
                continue;
            }
            n_sources++;
            if (source_passes(c, m, r, where)) {
                source_row(c, m, r);
                n_shown++;
            }
        }
    }
    call_meant(c, n_sources > 0 ? where : NULL, n_shown == 0);
    query_unref(where);
    call_end(c, 0);
}

static void label_rows(struct control_call *c, const char *kind, const struct label *labels,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[LABEL_SET_MAX * 64];
        value_text(&labels[i].value, text, sizeof(text));
        struct writer w = call_writer(c);
        control_row_begin(&w, 3);
        control_row_text(&w, "resource", kind);
        control_row_slice(&w, "name", labels[i].name);
        control_row_text(&w, "value", text);
        call_row(c, &w);
    }
}

void control_label_show(struct control_call *c)
{
    const struct gossip_member *m = gossip_self(&c->n->gossip);
    if (call_arg(c, 0).len > 0 && call_find_node(c, call_arg(c, 0), &m) != IPX_OK) {
        return;
    }
    const struct ad *ad = m == gossip_self(&c->n->gossip) ? c->n->ad : m->ad;
    if (ad != NULL) {
        label_rows(c, "", ad->labels, ad->n_labels);
        for (size_t i = 0; i < ad->n_resources; i++) {
            char kind[LABEL_NAME_MAX + 1];
            if (slice_to_text(ad->resources[i].kind, kind, sizeof(kind))) {
                label_rows(c, kind, ad->resources[i].labels, ad->resources[i].n_labels);
            }
        }
    }
    call_end(c, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/match.h"

#include <stdio.h>

/* --- labels --- */

/* What the evaluator fills in (match_env_init), whether or not it is known now. */
static const char *const filled_in[] = {
    "ad.age", "job.cpu", "job.in",   "job.lab",   "job.mem",  "job.net",   "job.time", "job.user",
    "lab",    "load",    "mem.free", "node.caps", "node.key", "node.name", "rtt",
};

struct search {
    const struct match *m;
    struct exec_meant *ret;
    bool is_found;
};

static bool has_field(const struct ad *ad, struct slice name)
{
    for (uint16_t i = 0; i < ad->n_resources; i++) {
        if (resource_find(&ad->resources[i], name) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_known(const struct match *m, struct slice name, bool is_field)
{
    for (size_t i = 0; !is_field && i < ARRAY_LEN(filled_in); i++) {
        if (slice_equal(name, slice_text(filled_in[i]))) {
            return true;
        }
    }
    bool has_ad = false;
    for (uint32_t i = 0; i < m->n; i++) {
        const struct ad *ad = m->peers[i]->ad;
        has_ad = has_ad || ad != NULL;
        if (ad != NULL && (is_field ? has_field(ad, name) : ad_find(ad, name) != NULL)) {
            return true;
        }
    }
    return !has_ad || (is_field && slice_equal(name, slice_text("free")));
}

static bool is_lab_or_node(const struct match *m, struct slice name)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const struct cert_facts *f = &m->peers[i]->facts;
        if (slice_equal(name, slice_text(f->lab)) || slice_equal(name, slice_text(f->name))) {
            return true;
        }
    }
    return false;
}

static void offer_labels(struct near *n, const struct label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        near_offer(n, labels[i].name);
    }
}

static void offer_all(const struct match *m, struct near *n, bool is_field)
{
    for (size_t i = 0; !is_field && i < ARRAY_LEN(filled_in); i++) {
        near_offer(n, slice_text(filled_in[i]));
    }
    for (uint32_t i = 0; i < m->n; i++) {
        const struct ad *ad = m->peers[i]->ad;
        if (ad != NULL && !is_field) {
            offer_labels(n, ad->labels, ad->n_labels);
        }
        for (uint16_t k = 0; ad != NULL && is_field && k < ad->n_resources; k++) {
            offer_labels(n, ad->resources[k].labels, ad->resources[k].n_labels);
        }
    }
}

static void look_at(void *user, struct slice name, bool is_field)
{
    struct search *s = user;
    struct exec_meant found = {.name = ""};
    struct near near;
    if ((s->is_found && s->ret->meant[0] != '\0') || name.len > LABEL_NAME_MAX ||
        is_known(s->m, name, is_field)) {
        return;
    }
    snprintf(found.name, sizeof(found.name), "%s%.*s", is_field ? "." : "", (int)name.len,
             (const char *)name.data);
    if (!is_field && is_lab_or_node(s->m, name)) {
        snprintf(found.meant, sizeof(found.meant), "\"%.*s\"", (int)IPX_MIN(name.len, 48u),
                 (const char *)name.data);
    } else {
        near_begin(&near, name);
        offer_all(s->m, &near, is_field);
        const char *word = near_found(&near);
        snprintf(found.meant, sizeof(found.meant), "%s%s", word != NULL && is_field ? "." : "",
                 word != NULL ? word : "");
    }
    if (!s->is_found || found.meant[0] != '\0') {
        *s->ret = found;
        s->is_found = true;
    }
}

bool meant_label(const struct match *m, const struct query *q, struct exec_meant *ret)
{
    struct exec_meant found = {.name = ""};
    struct search s = {.m = m, .ret = &found};
    query_names(q, look_at, &s);
    if (s.is_found) {
        *ret = found;
    }
    return s.is_found;
}

/* --- names --- */

/* A name as it is typed: with the lab in front where the user typed one. */
static void offer_name(struct near *n, const char *lab, struct slice name)
{
    char text[NEAR_WORD_MAX + 1];
    struct writer w = writer_of(text, sizeof(text));
    if (n->word.len > 0 && memchr(n->word.data, '/', n->word.len) != NULL) {
        writer_bytes(&w, slice_text(lab));
        writer_u8(&w, '/');
    }
    writer_bytes(&w, name);
    near_offer(n, writer_slice(&w));
}

static void take(const struct near *n, char ret[static MEANT_SIZE])
{
    snprintf(ret, MEANT_SIZE, "%s", near_found(n) != NULL ? near_found(n) : "");
}

void meant_node(const struct match *m, struct slice text, char ret[static MEANT_SIZE])
{
    struct near near;
    near_begin(&near, text);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct cert_facts *f = &m->peers[i]->facts;
        offer_name(&near, f->lab, slice_text(f->name));
    }
    take(&near, ret);
}

void meant_source(const struct match *m, struct slice text, char ret[static MEANT_SIZE])
{
    struct near near;
    near_begin(&near, text);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct ad *ad = m->peers[i]->ad;
        for (uint16_t k = 0; ad != NULL && k < ad->n_resources; k++) {
            const struct label_value *v = resource_find(&ad->resources[k], slice_text("name"));
            if (slice_equal(ad->resources[k].kind, slice_text("source")) && v != NULL &&
                v->type == LABEL_STRING) {
                offer_name(&near, m->peers[i]->facts.lab, v->text);
            }
        }
    }
    take(&near, ret);
}

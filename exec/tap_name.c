/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/source_core.h"

#include <stdio.h>

/* Names of sources as a user types them: name, lab/name, lab/name@node. */

struct tap_name {
    struct slice lab, name, node; /* lab and node empty: any */
};

static struct slice cut_at(struct slice *text, char c)
{
    const uint8_t *at = text->len > 0 ? memchr(text->data, c, text->len) : NULL;
    if (at == NULL) {
        return SLICE_EMPTY;
    }
    size_t n = (size_t)(at - text->data);
    struct slice rest = slice_of(at + 1, text->len - n - 1);
    text->len = n;
    return rest;
}

static struct tap_name name_split(struct slice text)
{
    struct tap_name n = {.node = cut_at(&text, '@')};
    n.name = cut_at(&text, '/');
    if (n.name.data == NULL) {
        n.name = text;
    } else {
        n.lab = text;
    }
    return n;
}

static bool peer_publishes(const struct sources *s, const struct match_peer *p, struct slice name)
{
    if (node_id_equal(&p->facts.id, &s->core->self.id)) {
        const struct source *src = source_find(s, name); /* the ad may not tell it yet */
        return src != NULL && src->handle != 0;
    }
    for (uint16_t i = 0; p->ad != NULL && i < p->ad->n_resources; i++) {
        const struct resource *r = &p->ad->resources[i];
        const struct label_value *v = resource_find(r, slice_text("name"));
        if (slice_equal(r->kind, slice_text("source")) && v != NULL && v->type == LABEL_STRING &&
            slice_equal(v->text, name)) {
            return true;
        }
    }
    return false;
}

static bool peer_fits(const struct sources *s, const struct match_peer *p, const struct tap_name *n,
                      bool own_lab)
{
    return (!own_lab || strcmp(p->facts.lab, s->core->self.lab) == 0) &&
           (n->lab.len == 0 || slice_equal(n->lab, slice_text(p->facts.lab))) &&
           (n->node.len == 0 || slice_equal(n->node, slice_text(p->facts.name))) &&
           peer_publishes(s, p, n->name);
}

static void list_add(struct writer *list, const struct match_peer *p, struct slice name)
{
    writer_bytes(list, slice_text(list->len > 0 ? ", " : ""));
    writer_bytes(list, slice_text(p->facts.lab));
    writer_u8(list, '/');
    writer_bytes(list, name);
    writer_u8(list, '@');
    writer_bytes(list, slice_text(p->facts.name));
}

enum ipx_err tap_resolve(const struct sources *s, struct slice text, struct writer *list,
                         struct node_id *ret_node, struct slice *ret_name)
{
    const struct match *m = &s->core->match;
    struct tap_name n = name_split(text);
    for (int own_lab = 1; own_lab >= 0; own_lab--) {
        const struct match_peer *found = NULL;
        uint32_t count = 0;
        for (uint32_t i = 0; i < m->n; i++) {
            if (peer_fits(s, m->peers[i], &n, own_lab)) {
                found = m->peers[i];
                list_add(list, found, n.name);
                count++;
            }
        }
        if (count == 1) {
            *ret_node = found->facts.id;
            *ret_name = n.name;
            return IPX_OK;
        }
        if (count > 1) {
            return IPX_CONFLICT;
        }
    }
    return IPX_NOT_FOUND;
}

static void refuse(struct sources *s, struct source_client *c, struct slice name, enum ipx_err err,
                   struct slice list)
{
    uint8_t what[EXEC_NAME_MAX + 32];
    struct writer w = writer_of(what, sizeof(what));
    writer_bytes(&w, slice_text(err == IPX_CONFLICT ? "several sources \"" : "no source \""));
    writer_bytes(&w, name);
    writer_u8(&w, '"');
    char near[MEANT_SIZE] = "", hint[MEANT_SIZE + 64];
    if (err == IPX_NOT_FOUND) {
        struct slice bare = name;
        cut_at(&bare, '@');
        meant_source(&s->core->match, bare, near);
    }
    snprintf(hint, sizeof(hint), "%s%s%s%s", near[0] != '\0' ? "Did you mean " : "", near,
             near[0] != '\0' ? "? " : "",
             err == IPX_CONFLICT ? "Write it as one of these"
                                 : "See what there is: ipx-node sources");
    const struct exec_error e = {.exit_code = err == IPX_NOT_FOUND ? 3 : 1,
                                 .err = err,
                                 .what = writer_slice(&w),
                                 .why = list,
                                 .hint = slice_text(hint)};
    sources_client_error(s, c, &e);
}

void tap_on_client(struct sources *s, uint64_t now_us, struct source_client *c, struct slice body)
{
    uint8_t list_bytes[200]; /* as long as an error may be; longer ones are not listed */
    struct writer list = writer_of(list_bytes, sizeof(list_bytes));
    struct source_tap m;
    struct node_id node;
    struct slice name;
    if (source_tap_decode(body, &m) != IPX_OK) {
        s->core->n_malformed++;
        refuse(s, c, SLICE_EMPTY, IPX_MALFORMED, SLICE_EMPTY);
        return;
    }
    enum ipx_err err = tap_resolve(s, m.name, &list, &node, &name);
    if (err != IPX_OK) {
        refuse(s, c, m.name, err, err == IPX_CONFLICT ? writer_slice(&list) : SLICE_EMPTY);
        return;
    }
    struct source_tap_in *t = tap_new(s, &node, name);
    if (t == NULL) {
        refuse(s, c, m.name, IPX_LIMIT, SLICE_EMPTY);
        return;
    }
    t->client = c->handle;
    t->m = m;
    t->granted = m.credit;
    c->kind = SOURCE_CLIENT_TAP;
    c->tap = t;
    tap_open(s, now_us, t);
}

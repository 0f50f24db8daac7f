/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

#include <stdio.h>

/* Names of nodes and sources as a user types them. */

struct name {
    struct slice lab, name; /* lab empty: any */
};

static struct name name_split(struct slice text)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    if (slash == NULL) {
        return (struct name){SLICE_EMPTY, text};
    }
    size_t n = (size_t)(slash - text.data);
    return (struct name){slice_of(text.data, n), slice_of(slash + 1, text.len - n - 1)};
}

static bool peer_has_source(const struct match_peer *p, struct slice name)
{
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

static bool peer_is_named(const struct match_peer *p, struct slice name)
{
    char text[ID_TEXT_SIZE];
    if (slice_equal(name, slice_text(p->facts.name))) {
        return true;
    }
    node_id_text(&p->facts.id, text);
    struct slice id = slice_text(text);
    size_t skip = name.len >= 4 && memcmp(name.data, text, 4) == 0 ? 0 : 4; /* "ipx1" */
    return name.len >= 6 && skip + name.len <= id.len &&
           memcmp(name.data, id.data + skip, name.len) == 0;
}

/* Who is called so, or publishes it. Of several the own lab's; *ret_n counts those that are left,
 * and `list` names them. */
static const struct match_peer *find_named(struct owner *o, struct name name, bool is_source,
                                           struct writer *list, uint32_t *ret_n)
{
    const struct match *m = &o->core->match;
    const struct match_peer *found = NULL;
    uint32_t n[2] = {0, 0}; /* anywhere; in the own lab */
    for (uint32_t own = 2; own-- > 0;) {
        for (uint32_t i = 0; i < m->n; i++) {
            const struct match_peer *p = m->peers[i];
            bool is_own = strcmp(p->facts.lab, o->core->self.lab) == 0;
            bool is_hit = is_source ? peer_has_source(p, name.name) : peer_is_named(p, name.name);
            if (!is_hit || (own == 1 && !is_own) ||
                (name.lab.len > 0 && !slice_equal(name.lab, slice_text(p->facts.lab)))) {
                continue;
            }
            n[own]++;
            found = p;
            writer_bytes(list, slice_text(list->len > 0 ? ", " : ""));
            writer_bytes(list, slice_text(p->facts.lab));
            writer_u8(list, '/');
            writer_bytes(list, is_source ? name.name : slice_text(p->facts.name));
            if (is_source) {
                writer_u8(list, '@');
                writer_bytes(list, slice_text(p->facts.name));
            }
        }
        if (n[own] > 0) {
            *ret_n = n[own];
            return found;
        }
    }
    *ret_n = 0;
    return NULL;
}

/* NULL: an error was sent. `name@node` names the publisher, too. */
const struct match_peer *client_resolve(struct owner *o, struct owner_client *c, struct slice text,
                                        bool is_source)
{
    char list[256], what[256];
    struct writer w = writer_of(list, sizeof(list));
    uint32_t n;
    const uint8_t *at = is_source && text.len > 0 ? memchr(text.data, '@', text.len) : NULL;
    struct slice bare = at == NULL ? text : slice_of(text.data, (size_t)(at - text.data));
    const struct match_peer *p = find_named(o, name_split(bare), is_source, &w, &n);
    if (at != NULL) {
        struct slice node = slice_of(at + 1, text.len - bare.len - 1);
        struct name with_lab = {name_split(bare).lab, node};
        p = find_named(o, with_lab, false, &w, &n);
        if (p != NULL && !peer_has_source(p, name_split(bare).name)) {
            n = 0;
        }
    }
    if (n == 1) {
        return p;
    }
    char near[MEANT_SIZE] = "", hint[MEANT_SIZE + 64];
    if (n == 0 && is_source) {
        meant_source(&o->core->match, bare, near);
    } else if (n == 0) {
        meant_node(&o->core->match, text, near);
    }
    snprintf(hint, sizeof(hint), "%s%s%s%s", near[0] != '\0' ? "Did you mean " : "", near,
             near[0] != '\0' ? "? " : "",
             n > 0       ? "Write it as lab/name"
             : is_source ? "List them: ipx-node sources"
                         : "List them: ipx-node nodes");
    snprintf(what, sizeof(what), "%s %s \"%.*s\"", n == 0 ? "no" : "several",
             is_source ? "source" : "node", (int)IPX_MIN(text.len, EXEC_NAME_MAX),
             (const char *)text.data);
    client_refuse(
        o, c,
        (struct exec_error){.exit_code = 120,
                            .err = n == 0 ? IPX_NOT_FOUND : IPX_CONFLICT,
                            .what = slice_text(what),
                            .why = n == 0 || w.failed ? SLICE_EMPTY : slice_of(list, w.len),
                            .hint = slice_text(hint)});
    return NULL;
}

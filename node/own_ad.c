/* SPDX-License-Identifier: Apache-2.0 */
#include "node/own_ad.h"

static void builder_freep(struct ad_builder **b)
{
    ad_builder_free(*b);
}

static void keep_first(void *user, struct slice name, struct ad *ad)
{
    struct ad **kept = user;
    (void)name;
    if (*kept == NULL) {
        *kept = ad_ref(ad);
    }
}

/* The labels of `from` but for the one called `skip`. */
static enum ipx_err add_labels(struct ad_builder *b, const struct ad *from, struct slice skip,
                               const struct ad *unless)
{
    for (size_t i = 0; i < from->n_labels; i++) {
        const struct label *l = &from->labels[i];
        if (slice_equal(l->name, skip) || (unless != NULL && ad_find(unless, l->name) != NULL)) {
            continue;
        }
        enum ipx_err err = ad_builder_label(b, l->name, &l->value);
        if (err != IPX_OK) {
            return err;
        }
    }
    return IPX_OK;
}

/* A new user part: the old one without `name`, with `value` unless that is NULL. */
static enum ipx_err replace_user(struct own_ad *o, struct slice name,
                                 const struct label_value *value)
{
    CLEANUP(builder_freep) struct ad_builder *b = ad_builder_new(o->mem);
    struct ad *ad = NULL;
    if (b == NULL) {
        return IPX_NO_MEMORY;
    }
    enum ipx_err err = add_labels(b, o->user, name, NULL);
    if (err == IPX_OK && value != NULL) {
        err = ad_builder_label(b, name, value);
    }
    if (err == IPX_OK) {
        err = ad_builder_finish(b, &ad);
    }
    if (err != IPX_OK) {
        return err;
    }
    ad_unref(o->user);
    o->user = ad;
    return IPX_OK;
}

static enum ipx_err empty_ad(struct mem *mem, struct ad **ret)
{
    CLEANUP(builder_freep) struct ad_builder *b = ad_builder_new(mem);
    return b == NULL ? IPX_NO_MEMORY : ad_builder_finish(b, ret);
}

enum ipx_err own_ad_init(struct own_ad *o, struct mem *mem, struct ad *found, struct slice saved)
{
    struct ad *user = NULL;
    uint32_t line;
    assert(found != NULL);
    enum ipx_err err = IPX_OK;
    if (saved.len > 0) {
        err = ad_text_parse(saved, mem, keep_first, &user, &line);
    }
    if (err == IPX_OK && user == NULL) {
        err = empty_ad(mem, &user);
    }
    if (err != IPX_OK) {
        ad_unref(user);
        return err;
    }
    *o = (struct own_ad){.mem = mem, .found = ad_ref(found), .user = user};
    return IPX_OK;
}

void own_ad_done(struct own_ad *o)
{
    ad_unref(o->found);
    ad_unref(o->user);
    o->found = o->user = NULL;
}

enum ipx_err own_ad_set(struct own_ad *o, struct slice assignment)
{
    const uint8_t *eq = assignment.len > 0 ? memchr(assignment.data, '=', assignment.len) : NULL;
    if (eq == NULL) {
        return IPX_MALFORMED;
    }
    struct slice name = slice_of(assignment.data, (size_t)(eq - assignment.data));
    struct slice text = slice_of(eq + 1, assignment.len - name.len - 1);
    if (!label_name_is_valid(name)) {
        return IPX_MALFORMED;
    }
    if (label_name_is_reserved(name) || label_name_is_evaluator(name)) {
        return IPX_DENIED;
    }
    struct label_scratch *scratch = mem_alloc(o->mem, sizeof(*scratch));
    if (scratch == NULL) {
        return IPX_NO_MEMORY;
    }
    struct label_value value;
    enum ipx_err err = label_value_parse(text, scratch, &value);
    if (err == IPX_OK) {
        err = replace_user(o, name, &value);
    }
    mem_free(o->mem, scratch);
    return err;
}

enum ipx_err own_ad_unset(struct own_ad *o, struct slice name)
{
    if (ad_find(o->user, name) != NULL) {
        return replace_user(o, name, NULL);
    }
    return ad_find(o->found, name) != NULL ? IPX_DENIED : IPX_NOT_FOUND;
}

void own_ad_save(const struct own_ad *o, struct writer *w)
{
    ad_text_print(o->user, w);
}

static enum ipx_err add_resource(struct ad_builder *b, const struct resource *r)
{
    enum ipx_err err = ad_builder_resource(b, r->kind);
    for (size_t i = 0; err == IPX_OK && i < r->n_labels; i++) {
        err = ad_builder_field(b, r->labels[i].name, &r->labels[i].value);
    }
    return err;
}

enum ipx_err own_ad_build(const struct own_ad *o, const struct resource *resources, size_t n,
                          struct ad **ret)
{
    CLEANUP(builder_freep) struct ad_builder *b = ad_builder_new(o->mem);
    if (b == NULL) {
        return IPX_NO_MEMORY;
    }
    enum ipx_err err = add_labels(b, o->found, SLICE_EMPTY, o->user);
    if (err == IPX_OK) {
        err = add_labels(b, o->user, SLICE_EMPTY, NULL);
    }
    for (size_t i = 0; err == IPX_OK && i < o->found->n_resources; i++) {
        err = add_resource(b, &o->found->resources[i]);
    }
    for (size_t i = 0; err == IPX_OK && i < n; i++) {
        err = add_resource(b, &resources[i]);
    }
    return err == IPX_OK ? ad_builder_finish(b, ret) : err;
}

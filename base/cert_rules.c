/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cert_wire.h"

static bool is_dash_word(struct slice s, size_t len_max)
{
    if (s.len == 0 || s.len > len_max || s.data[0] < 'a' || s.data[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

bool cert_name_is_valid(struct slice name)
{
    return is_dash_word(name, CERT_NAME_MAX);
}

bool cert_lab_is_valid(struct slice lab)
{
    return is_dash_word(lab, CERT_LAB_MAX);
}

/* [a-z][a-z0-9_]* { . [a-z][a-z0-9_]* } */
static bool prefix_is_valid(struct slice s)
{
    bool at_start = true;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool is_letter = c >= 'a' && c <= 'z';
        if (at_start ? !is_letter
                     : !(is_letter || (c >= '0' && c <= '9') || c == '_' || c == '.')) {
            return false;
        }
        at_start = c == '.';
    }
    return !at_start;
}

static size_t prefixes_used(const struct cert_prefixes *p)
{
    size_t used = 0;
    for (unsigned i = 0; i < p->n; i++) {
        used += p->len[i];
    }
    return used;
}

enum ipx_err cert_prefixes_add(struct cert_prefixes *p, struct slice prefix)
{
    if (prefix.len == 0 || prefix.len > CERT_PREFIX_LEN_MAX || !prefix_is_valid(prefix)) {
        return IPX_MALFORMED;
    }
    size_t used = prefixes_used(p);
    if (p->n == CERT_PREFIX_MAX || used + prefix.len > CERT_PREFIX_TOTAL_MAX) {
        return IPX_LIMIT;
    }
    memcpy(p->bytes + used, prefix.data, prefix.len);
    p->len[p->n++] = (uint8_t)prefix.len;
    return IPX_OK;
}

struct slice cert_prefixes_at(const struct cert_prefixes *p, unsigned i)
{
    assert(i < p->n);
    size_t start = 0;
    for (unsigned k = 0; k < i; k++) {
        start += p->len[k];
    }
    return slice_of(p->bytes + start, p->len[i]);
}

bool cert_prefixes_cover(const struct cert_prefixes *p, struct slice label_name)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct slice s = cert_prefixes_at(p, i);
        if (label_name.len >= s.len && memcmp(label_name.data, s.data, s.len) == 0 &&
            (label_name.len == s.len || label_name.data[s.len] == '.')) {
            return true;
        }
    }
    return p->n == 0;
}

/* A child without prefixes is wider than a parent with some. */
static bool prefixes_within(const struct cert_prefixes *child, const struct cert_prefixes *parent)
{
    for (unsigned i = 0; i < child->n; i++) {
        if (!cert_prefixes_cover(parent, cert_prefixes_at(child, i))) {
            return false;
        }
    }
    return child->n > 0 || parent->n == 0;
}

bool cert_may_publish(const struct cert_facts *facts, struct slice label_name)
{
    return (facts->caps & CERT_CAP_PUBLISH) != 0 &&
           cert_prefixes_cover(&facts->prefixes, label_name);
}

enum ipx_err cert_grant_within(const struct cert_grant *child, const struct cert_grant *parent)
{
    if (strcmp(parent->lab, CERT_LAB_ANY) != 0 && strcmp(child->lab, parent->lab) != 0) {
        return IPX_WRONG_LAB;
    }
    if ((child->caps & ~parent->caps) != 0 ||
        !prefixes_within(&child->prefixes, &parent->prefixes)) {
        return IPX_CAPS;
    }
    if (child->not_before_ms < parent->not_before_ms ||
        child->not_after_ms > parent->not_after_ms) {
        return IPX_LIFETIME;
    }
    return IPX_OK;
}

enum ipx_err cert_time_check(int64_t not_before_ms, int64_t not_after_ms, int64_t wall_ms)
{
    if (wall_ms < not_before_ms - CERT_SKEW_MS) {
        return IPX_NOT_YET;
    }
    return wall_ms > not_after_ms + CERT_SKEW_MS ? IPX_EXPIRED : IPX_OK;
}

unsigned cert_grant_n_keys(const struct cert_grant *g)
{
    return g->prefixes.n > 0 ? 7 : 6;
}

void cert_grant_put(struct writer *w, const struct mesh_id *mesh, const struct cert_grant *g)
{
    cbor_put_u64(w, GRANT_KEY_MESH);
    cbor_put_bytes(w, slice_of(mesh->bytes, sizeof mesh->bytes));
    cbor_put_u64(w, GRANT_KEY_SERIAL);
    cbor_put_u64(w, g->serial);
    cbor_put_u64(w, GRANT_KEY_NOT_BEFORE);
    cbor_put_u64(w, (uint64_t)g->not_before_ms);
    cbor_put_u64(w, GRANT_KEY_NOT_AFTER);
    cbor_put_u64(w, (uint64_t)g->not_after_ms);
    cbor_put_u64(w, GRANT_KEY_LAB);
    cbor_put_text(w, slice_text(g->lab));
    cbor_put_u64(w, GRANT_KEY_CAPS);
    cbor_put_u64(w, g->caps);
    if (g->prefixes.n > 0) {
        cbor_put_u64(w, GRANT_KEY_PREFIXES);
        cbor_put_array(w, g->prefixes.n);
        for (unsigned i = 0; i < g->prefixes.n; i++) {
            cbor_put_text(w, cert_prefixes_at(&g->prefixes, i));
        }
    }
}

static void prefixes_get(struct cbor_reader *r, struct cert_prefixes *p)
{
    uint64_t n = cbor_array_begin(r, CERT_PREFIX_MAX);
    for (uint64_t i = 0; i < n; i++) {
        if (cert_prefixes_add(p, cbor_text(r, CERT_PREFIX_LEN_MAX)) != IPX_OK) {
            r->failed = true;
            return;
        }
    }
    cbor_array_end(r);
    r->failed = r->failed || n == 0; /* "none" is the absent key, in one form only */
}

bool cert_grant_get(struct cbor_reader *r, uint64_t key, struct mesh_id *mesh, struct cert_grant *g)
{
    switch (key) {
    case GRANT_KEY_MESH:
        cbor_bytes_fixed(r, mesh->bytes, sizeof mesh->bytes);
        return true;
    case GRANT_KEY_SERIAL:
        g->serial = cbor_u64(r);
        return true;
    case GRANT_KEY_NOT_BEFORE:
        g->not_before_ms = (int64_t)cbor_uint_max(r, CERT_TIME_MAX_MS);
        return true;
    case GRANT_KEY_NOT_AFTER:
        g->not_after_ms = (int64_t)cbor_uint_max(r, CERT_TIME_MAX_MS);
        return true;
    case GRANT_KEY_LAB:
        cbor_text_copy(r, g->lab, sizeof g->lab);
        return true;
    case GRANT_KEY_CAPS:
        g->caps = (uint32_t)cbor_uint_max(r, UINT32_MAX);
        return true;
    case GRANT_KEY_PREFIXES:
        prefixes_get(r, &g->prefixes);
        return true;
    default:
        return false;
    }
}

bool cert_grant_is_valid(const struct cert_grant *g)
{
    return g->not_before_ms < g->not_after_ms &&
           (strcmp(g->lab, CERT_LAB_ANY) == 0 || cert_lab_is_valid(slice_text(g->lab)));
}

static const struct {
    const char *name;
    uint32_t caps;
} cert_roles[] = {
    {"user", CERT_ROLE_USER},
    {"node", CERT_ROLE_NODE},
    {"operator", CERT_ROLE_OPERATOR},
};

enum ipx_err cert_role_parse(struct slice text, uint32_t *ret_caps)
{
    for (size_t i = 0; i < ARRAY_LEN(cert_roles); i++) {
        if (slice_equal(text, slice_text(cert_roles[i].name))) {
            *ret_caps = cert_roles[i].caps;
            return IPX_OK;
        }
    }
    return IPX_NOT_FOUND;
}

const char *cert_role_text(uint32_t caps)
{
    for (size_t i = 0; i < ARRAY_LEN(cert_roles); i++) {
        if (caps == cert_roles[i].caps) {
            return cert_roles[i].name;
        }
    }
    return "custom";
}

void cert_caps_text(uint32_t caps, char out[static CERT_CAPS_TEXT_SIZE])
{
    static const char *const names[] = {"JOIN",    "ADMIT", "ISSUE",  "REVOKE", "RELAY",
                                        "PUBLISH", "OFFER", "SUBMIT", "ADMIN"};
    _Static_assert(sizeof "JOIN ADMIT ISSUE REVOKE RELAY PUBLISH OFFER SUBMIT ADMIN" <=
                       CERT_CAPS_TEXT_SIZE,
                   "all names fit");
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((caps & 1u << i) != 0) {
            used += (size_t)snprintf(out + used, CERT_CAPS_TEXT_SIZE - used, "%s%s",
                                     used > 0 ? " " : "", names[i]);
        }
    }
}

const struct cert_facts *cert_name_keeper(const struct cert_facts *a, const struct cert_facts *b)
{
    if (a->admitted_ms != b->admitted_ms) {
        return a->admitted_ms < b->admitted_ms ? a : b;
    }
    int order = node_id_compare(&a->admitter, &b->admitter);
    if (order == 0) {
        order = node_id_compare(&a->id, &b->id);
    }
    return order <= 0 ? a : b;
}

void cert_name_shown(const struct cert_facts *f, bool keeps, char out[static CERT_SHOWN_SIZE])
{
    char key[ID_SHORT_LEN + 1];
    node_id_short(&f->id, key);
    snprintf(out, CERT_SHOWN_SIZE, "%s%s%.*s", f->name, keeps ? "" : "-", keeps ? 0 : 4, key);
}

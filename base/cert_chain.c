/* SPDX-License-Identifier: Apache-2.0 */
#include "base/admit.h"
#include "base/cert_wire.h"

enum { FORM_PLAIN = 1, FORM_ADMITTED = 2 };
#define PLAIN_ITEMS 3
#define ADMITTED_ITEMS 5
#define CHAIN_ITEMS_MAX 8 /* more is malformed rather than too long */

/* An issuer's certificate has no nonce, admitter or birth */
#define ISSUER_CERT_MAX                                                                            \
    (1 + GRANT_BYTES_MAX + 2 + 35 + 35 + 2 + 3 + CERT_NAME_MAX + SIGNED_OVERHEAD)
_Static_assert(2 + TICKET_PUBLIC_MAX + ADMIT_REDEMPTION_MAX + ISSUER_CERT_MAX + 34 <=
                   CERT_CHAIN_MAX,
               "an admitted chain fits an INIT");

void cert_chain_put_plain(struct writer *w, struct slice node_cert, struct slice issuer_cert)
{
    cbor_put_array(w, PLAIN_ITEMS);
    cbor_put_u64(w, FORM_PLAIN);
    cbor_put_raw(w, node_cert);
    cbor_put_raw(w, issuer_cert);
}

void cert_chain_put_admitted(struct writer *w, struct slice ticket, struct slice redemption,
                             struct slice issuer_cert, const struct hash *admitter_chain)
{
    cbor_put_array(w, ADMITTED_ITEMS);
    cbor_put_u64(w, FORM_ADMITTED);
    cbor_put_raw(w, ticket);
    cbor_put_raw(w, redemption);
    cbor_put_raw(w, issuer_cert);
    cbor_put_bytes(w, slice_of(admitter_chain->bytes, sizeof admitter_chain->bytes));
}

enum ipx_err cert_chain_split(struct slice chain, struct cert_chain_parts *ret)
{
    if (chain.len > CERT_CHAIN_MAX) {
        return IPX_MALFORMED;
    }
    struct cert_chain_parts p = {.is_plain = false};
    struct cbor_reader r = cbor_reader_of(chain);
    uint64_t n = cbor_array_begin(&r, CHAIN_ITEMS_MAX);
    uint64_t form = cbor_uint_max(&r, FORM_ADMITTED);
    if (!r.failed && form == FORM_PLAIN && n > PLAIN_ITEMS) {
        return IPX_PATH_LEN;
    }
    if (form == FORM_PLAIN && n == PLAIN_ITEMS) {
        p.is_plain = true;
        p.node_cert = cbor_raw(&r);
        p.issuer_cert = cbor_raw(&r);
    } else if (form == FORM_ADMITTED && n == ADMITTED_ITEMS) {
        p.ticket = cbor_raw(&r);
        p.redemption = cbor_raw(&r);
        p.issuer_cert = cbor_raw(&r);
        cbor_bytes_fixed(&r, p.admitter_chain.bytes, sizeof p.admitter_chain.bytes);
    } else {
        return IPX_MALFORMED;
    }
    cbor_array_end(&r);
    if (!cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = p;
    return IPX_OK;
}

static void facts_fill_grant(struct cert_facts *f, const struct cert_grant *g)
{
    memcpy(f->lab, g->lab, sizeof f->lab);
    f->caps = g->caps;
    f->serial = g->serial;
    f->not_before_ms = g->not_before_ms;
    f->not_after_ms = g->not_after_ms;
    f->prefixes = g->prefixes;
}

/* The last step of both forms: what follows from the rest. */
static void facts_finish(struct cert_facts *f, struct slice chain, const struct mesh_id *mesh)
{
    f->pos = dht_pos_of(mesh, f->nonce, &f->id);
    f->chain_hash = crypt_hash(chain);
}

static enum ipx_err plain_verify(struct slice chain, const struct cert_chain_parts *p,
                                 const struct cert_check *check, struct cert_facts *ret)
{
    struct cert issuer, node;
    enum ipx_err err = cert_issuer_verify(p->issuer_cert, check->mesh, &issuer);
    if (err == IPX_OK) {
        err = cert_node_verify(p->node_cert, &issuer, &node);
    }
    if (err != IPX_OK) {
        return err;
    }
    if (check->subject != NULL && !node_id_equal(check->subject, &node.subject)) {
        return IPX_CONFLICT;
    }
    /* The node's validity lies within the issuer's */
    err = cert_time_check(node.grant.not_before_ms, node.grant.not_after_ms, check->wall_ms);
    if (err != IPX_OK) {
        return err;
    }
    struct cert_facts f = {.id = node.subject,
                           .issuer = node.issuer,
                           .admitter = node.admitter,
                           .admitted_ms = node.admitted_ms,
                           .is_plain = true,
                           .birth_issuer = node.birth_issuer,
                           .birth_serial = node.birth_serial};
    facts_fill_grant(&f, &node.grant);
    memcpy(f.name, node.name, sizeof f.name);
    memcpy(f.nonce, node.nonce, sizeof f.nonce);
    facts_finish(&f, chain, check->mesh);
    *ret = f;
    return IPX_OK;
}

/* Admitted while the ticket was good; shown before the grace for meeting an ISSUE holder ends. */
static enum ipx_err admitted_times_check(const struct cert_grant *ticket,
                                         const struct admit_redemption *red, int64_t not_after_ms,
                                         int64_t wall_ms)
{
    if (cert_time_check(ticket->not_before_ms, ticket->not_after_ms, red->admitted_ms) != IPX_OK) {
        return IPX_LIFETIME;
    }
    if (red->admitted_ms > wall_ms + CERT_SKEW_MS) {
        return IPX_NOT_YET;
    }
    return cert_time_check(ticket->not_before_ms, not_after_ms, wall_ms);
}

/* The admitter's right is that of the moment at which it admitted: its own renewal or end does
 * not undo what it did. */
static enum ipx_err admitter_verify(const struct cert_chain_parts *p,
                                    const struct admit_redemption *red,
                                    const struct cert_check *check, struct hash *ret_missing)
{
    struct hash shown = crypt_hash(check->admitter_chain);
    if (check->admitter_chain.len == 0 || !hash_equal(&shown, &p->admitter_chain)) {
        if (ret_missing != NULL) {
            *ret_missing = p->admitter_chain;
        }
        return IPX_NEED_CHAIN;
    }
    struct cert_chain_parts parts;
    struct cert_facts admitter;
    struct cert_check then = {
        .mesh = check->mesh, .wall_ms = red->admitted_ms, .subject = &red->admitter};
    if (cert_chain_split(check->admitter_chain, &parts) != IPX_OK || !parts.is_plain ||
        plain_verify(check->admitter_chain, &parts, &then, &admitter) != IPX_OK) {
        return IPX_BAD_CHAIN;
    }
    return admit_is_allowed(&admitter) ? IPX_OK : IPX_DENIED;
}

static void facts_of_admission(const struct ticket_body *t, const struct cert *issuer,
                               const struct admit_redemption *red, struct cert_facts *ret)
{
    *ret = (struct cert_facts){.id = red->claim.id,
                               .issuer = issuer->subject,
                               .admitter = red->admitter,
                               .admitted_ms = red->admitted_ms,
                               .is_plain = false,
                               .birth_issuer = issuer->subject,
                               .birth_serial = t->grant.serial};
    facts_fill_grant(ret, &t->grant);
    memcpy(ret->name, red->claim.name, sizeof ret->name);
    memcpy(ret->nonce, red->nonce, sizeof ret->nonce);
    ret->not_after_ms =
        IPX_MIN(t->grant.not_after_ms + CERT_ADMITTED_EXTRA_MS, issuer->grant.not_after_ms);
}

static enum ipx_err admitted_verify(struct slice chain, const struct cert_chain_parts *p,
                                    const struct cert_check *check, struct cert_facts *ret,
                                    struct hash *ret_missing)
{
    struct ticket_body ticket;
    struct cert issuer;
    struct admit_redemption red;
    enum ipx_err err = ticket_verify(p->ticket, p->issuer_cert, check->mesh, &ticket, &issuer);
    if (err == IPX_UNKNOWN_ISSUER) {
        return IPX_BAD_CHAIN; /* the certificate beside the ticket is not the one it names */
    }
    if (err == IPX_OK) {
        err = admit_redemption_verify(p->redemption, &ticket, &red);
    }
    if (err != IPX_OK) {
        return err;
    }
    if (node_id_equal(&red.claim.id, &issuer.subject) ||
        node_id_equal(&red.claim.id, &issuer.issuer)) {
        return IPX_BAD_CHAIN;
    }
    if (check->subject != NULL && !node_id_equal(check->subject, &red.claim.id)) {
        return IPX_CONFLICT;
    }
    struct cert_facts f;
    facts_of_admission(&ticket, &issuer, &red, &f);
    err = admitted_times_check(&ticket.grant, &red, f.not_after_ms, check->wall_ms);
    if (err == IPX_OK) {
        err = admitter_verify(p, &red, check, ret_missing);
    }
    if (err != IPX_OK) {
        return err;
    }
    facts_finish(&f, chain, check->mesh);
    *ret = f;
    return IPX_OK;
}

enum ipx_err cert_chain_verify_with(struct slice chain, const struct cert_check *check,
                                    struct cert_facts *ret, struct hash *ret_missing)
{
    struct cert_chain_parts p;
    enum ipx_err err = cert_chain_split(chain, &p);
    if (err != IPX_OK) {
        return err;
    }
    return p.is_plain ? plain_verify(chain, &p, check, ret)
                      : admitted_verify(chain, &p, check, ret, ret_missing);
}

enum ipx_err cert_chain_verify(struct slice chain, const struct mesh_id *mesh, int64_t wall_ms,
                               const struct node_id *subject, struct cert_facts *ret)
{
    struct cert_check check = {.mesh = mesh, .wall_ms = wall_ms, .subject = subject};
    return cert_chain_verify_with(chain, &check, ret, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/admit_wire.h"

/* Exactly one of REDEMPTION (with ISSUER), CHAIN or WHY is there. */
enum { KEY_WHY = 1, KEY_REDEMPTION = 2, KEY_CHAIN = 3, KEY_ISSUER = 4, KEY_DETAIL = 5 };
#define HAS_REDEMPTION (1u << KEY_REDEMPTION | 1u << KEY_ISSUER)
#define HAS_CHAIN (1u << KEY_CHAIN)
#define HAS_WHY (1u << KEY_WHY)
#define KNOWN_KEYS (HAS_REDEMPTION | HAS_CHAIN | HAS_WHY)
#define WHY_LEN_MAX 32 /* longest name of an error */

_Static_assert(1 + 1 + ADMIT_REDEMPTION_MAX + 1 + CERT_BYTES_MAX <= ADMIT_ANSWER_MAX,
               "ADMITTED with a redemption fits");
_Static_assert(1 + 1 + 2 + 2 * CERT_BYTES_MAX <= ADMIT_ANSWER_MAX,
               "ADMITTED with a plain chain fits");

void admit_answer_put_redemption(struct writer *w, struct slice redemption,
                                 struct slice issuer_cert)
{
    cbor_put_map(w, 2);
    cbor_put_u64(w, KEY_REDEMPTION);
    cbor_put_raw(w, redemption);
    cbor_put_u64(w, KEY_ISSUER);
    cbor_put_raw(w, issuer_cert);
}

void admit_answer_put_chain(struct writer *w, struct slice chain)
{
    cbor_put_map(w, 1);
    cbor_put_u64(w, KEY_CHAIN);
    cbor_put_raw(w, chain);
}

/* The longest head of `text` that does not cut a character of UTF-8. */
static struct slice detail_cut(const char *text)
{
    struct slice s = slice_text(text);
    if (s.len > ADMIT_DETAIL_MAX) {
        s.len = ADMIT_DETAIL_MAX;
        while (s.len > 0 && (s.data[s.len] & 0xc0) == 0x80) {
            s.len--;
        }
    }
    return s;
}

void admit_answer_put_refusal(struct writer *w, enum ipx_err why, const char *detail)
{
    assert(why != IPX_OK);
    cbor_put_map(w, 2);
    cbor_put_u64(w, KEY_WHY);
    cbor_put_text(w, slice_text(err_name(why)));
    cbor_put_u64(w, KEY_DETAIL);
    cbor_put_text(w, detail_cut(detail));
}

/* A refusal stays one: a name of a later version, "OK" or a fault of theirs is IPX_REFUSED. */
static enum ipx_err why_of_name(struct slice name)
{
    static const struct {
        const char *name;
        enum ipx_err err;
    } known[] = {
#define X(name, value, text) {#name, IPX_##name},
        IPX_ERR_LIST(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].err > IPX_OK && slice_equal(name, slice_text(known[i].name))) {
            return known[i].err;
        }
    }
    return IPX_REFUSED;
}

struct parts {
    uint32_t seen;
    struct slice redemption, chain, issuer;
};

static enum ipx_err answer_decode(struct slice body, struct parts *p, struct admit_answer *a)
{
    struct cbor_reader r = cbor_reader_of(body);
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        p->seen |= key < 32 ? 1u << key : 0;
        switch (key) {
        case KEY_WHY:
            a->why = why_of_name(cbor_text(&r, WHY_LEN_MAX));
            break;
        case KEY_REDEMPTION:
            p->redemption = cbor_raw(&r);
            break;
        case KEY_CHAIN:
            p->chain = cbor_raw(&r);
            break;
        case KEY_ISSUER:
            p->issuer = cbor_raw(&r);
            break;
        case KEY_DETAIL:
            cbor_text_copy(&r, a->detail, sizeof a->detail);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    uint32_t has = p->seen & KNOWN_KEYS;
    bool is_one = has == HAS_REDEMPTION || has == HAS_CHAIN || has == HAS_WHY;
    return cbor_done(&r) && is_one ? IPX_OK : IPX_MALFORMED;
}

/* The chain that the node will show: as given, or put together from ticket and redemption. */
static enum ipx_err chain_build(const struct parts *p, const struct admit_expected *want,
                                struct admit_answer *a)
{
    struct writer w = writer_of(a->chain, sizeof a->chain);
    if (p->chain.len > 0) {
        cbor_put_raw(&w, p->chain);
    } else {
        struct hash admitter = crypt_hash(want->admitter_chain);
        cert_chain_put_admitted(&w, slice_of(want->ticket->pub, want->ticket->pub_len),
                                p->redemption, p->issuer, &admitter);
    }
    a->chain_len = w.len;
    return w.failed ? IPX_MALFORMED : IPX_OK;
}

/* The ticket fixes lab and caps; the joiner chose its name. */
static bool is_as_asked(const struct cert_facts *f, const struct admit_expected *want,
                        const struct parts *p)
{
    const struct cert_grant *g = &want->ticket->body.grant;
    return f->is_plain == (p->chain.len > 0) && strcmp(f->name, want->name) == 0 &&
           strcmp(f->lab, g->lab) == 0 && f->caps == g->caps && f->birth_serial == g->serial;
}

enum ipx_err admit_answer_verify(struct slice body, const struct admit_expected *want,
                                 struct admit_answer *ret)
{
    struct parts p = {.seen = 0};
    struct admit_answer a = {.why = IPX_OK};
    enum ipx_err err = answer_decode(body, &p, &a);
    if (err == IPX_OK && a.why == IPX_OK) {
        err = chain_build(&p, want, &a);
        if (err != IPX_OK) {
            return err;
        }
        struct cert_check check = {.mesh = &want->ticket->body.mesh,
                                   .wall_ms = want->wall_ms,
                                   .subject = want->self,
                                   .admitter_chain = want->admitter_chain};
        err = cert_chain_verify_with(slice_of(a.chain, a.chain_len), &check, &a.facts, NULL);
        if (err == IPX_OK && !is_as_asked(&a.facts, want, &p)) {
            return IPX_CONFLICT;
        }
    }
    if (err == IPX_OK) {
        *ret = a;
    }
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a chain and as a certificate. What is accepted is one of the two chains that the
 * fixture's keys signed (the pointer of an admitted chain included), whatever else is tried.
 */
#include "tests/cert_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void certificate(const struct fx *x, struct slice in)
{
    struct cert c, again;
    uint8_t bytes[CERT_BYTES_MAX];
    if (cert_decode(in, &c) != IPX_OK) {
        return;
    }
    /* What was understood can be written and understood again, under a key we have */
    struct writer w = writer_of(bytes, sizeof bytes);
    c.issuer = x->eve.pk;
    cert_sign(&c, &x->eve, &w);
    assert(!w.failed);
    enum ipx_err err = cert_decode(writer_slice(&w), &again);
    assert(err == IPX_OK);
    assert(again.grant.serial == c.grant.serial && again.grant.caps == c.grant.caps);
    assert(strcmp(again.grant.lab, c.grant.lab) == 0 && strcmp(again.name, c.name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fx x;
    static bool is_ready;
    if (!is_ready) {
        fx_init(&x);
        is_ready = true;
    }
    struct slice in = slice_of(data, size);
    struct cert_facts f;
    struct hash missing;
    struct cert_check check = {.mesh = &x.mesh.mesh, .wall_ms = FX_WALL + FX_HOUR};
    certificate(&x, in);
    enum ipx_err err = cert_chain_verify_with(in, &check, &f, &missing);
    assert(err != IPX_OK || slice_equal(in, x.ada_chain));
    check.admitter_chain = x.ada_chain;
    err = cert_chain_verify_with(in, &check, &f, &missing);
    assert(err != IPX_OK || slice_equal(in, x.ada_chain) || slice_equal(in, x.bob_chain));
    return 0;
}

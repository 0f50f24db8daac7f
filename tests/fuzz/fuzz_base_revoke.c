/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a revocation: none is accepted but those that the fixture's issuer and root signed,
 * and what is read keeps its rules.
 */
#include "base/revoke.h"
#include "tests/cert_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fx x;
static bool is_prepared;

/* Signatures are deterministic: what the revoker writes of `r` has the same bytes. */
static bool is_of_its_revoker(const struct revoke *r, struct slice in)
{
    uint8_t bytes[REVOKE_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    if (r->is_by_root) {
        revoke_sign(r, &x.root, SLICE_EMPTY, &x.mesh.mesh, &w);
    } else {
        revoke_sign(r, &x.issuer, x.issuer_cert, &x.mesh.mesh, &w);
    }
    return slice_equal(in, writer_slice(&w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct revoke r;
    struct slice in = slice_of(data, size);
    if (!is_prepared) {
        fx_init(&x);
        is_prepared = true;
    }
    if (revoke_decode(in, &r) == IPX_OK) {
        assert(r.what == REVOKE_KEY || r.what == REVOKE_SERIALS);
        assert(r.serial_min <= r.serial_max && r.reason <= REVOKE_MISTAKE);
        assert(r.at_ms >= 0 && r.at_ms <= CERT_TIME_MAX_MS && size <= REVOKE_MAX);
        (void)revoke_strikes(&r, &x.mesh.facts);
        (void)revoke_is_over(&r, FX_WALL);
    }
    if (revoke_verify(in, &x.mesh.mesh, x.issuer_cert, &r) == IPX_OK) {
        assert(is_of_its_revoker(&r, in));
    }
    return 0;
}

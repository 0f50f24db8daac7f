/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as ADMIT, ADMITTED, a redemption, a notice and a saved book: no request, redemption or
 * notice is accepted but the fixture's own, and no book breaks its invariant.
 */
#include "tests/cert_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void messages(const struct fx *x, struct slice in)
{
    struct admit_request req;
    struct admit_redemption red;
    static struct admit_answer answer;
    struct admit_expected want = {.ticket = &x->ticket,
                                  .self = &x->bob.pk,
                                  .name = "bob",
                                  .admitter_chain = x->ada_chain,
                                  .wall_ms = FX_WALL + FX_HOUR};
    enum ipx_err err = admit_request_verify(in, x->issuer_cert, &x->mesh.mesh, FX_WALL + FX_HOUR,
                                            &x->bob.pk, &req);
    assert(err != IPX_OK || node_id_equal(&req.claim.id, &x->bob.pk));
    err = admit_redemption_verify(in, &x->ticket.body, &red);
    assert(err != IPX_OK || slice_equal(in, x->redemption));
    err = admit_answer_verify(in, &want, &answer);
    assert(err != IPX_OK || answer.why != IPX_OK || node_id_equal(&answer.facts.id, &x->bob.pk));
    assert(err != IPX_OK || strlen(answer.detail) <= ADMIT_DETAIL_MAX);
}

static void notices(const struct fx *x, struct slice in)
{
    static const uint8_t secret[16];
    struct mem mem;
    struct admit_book book;
    struct admit_notice n;
    struct admit_seen seen;
    mem_init(&mem, SIZE_MAX);
    enum ipx_err err = admit_book_init(&book, &mem, &x->mesh.mesh, 8, secret);
    assert(err == IPX_OK);
    err_ignore(admit_book_load(&book, in), "what came before the fault is kept");
    admit_book_check(&book);
    if (admit_notice_decode(in, &n) == IPX_OK) {
        err_ignore(admit_book_see(&book, &n, NULL, FX_WALL, &seen), "hearsay");
        err_ignore(admit_book_see(&book, &n, &x->ticket.one_time.pk, FX_WALL, &seen), "proof");
        admit_book_check(&book);
    }
    err = admit_notice_verify(in, &x->mesh.mesh, &x->mesh.facts, &n);
    assert(err != IPX_OK || node_id_equal(&n.claim.id, &x->bob.pk));
    admit_book_done(&book);
    assert(mem.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fx x;
    static bool is_ready;
    if (!is_ready) {
        fx_init(&x);
        is_ready = true;
    }
    messages(&x, slice_of(data, size));
    notices(&x, slice_of(data, size));
    return 0;
}

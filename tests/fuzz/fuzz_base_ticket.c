/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a ticket's text, as its content behind a right checksum, and as its public part.
 * What parses prints to a text that parses to the same; what verifies is the fixture's own.
 */
#include "tests/cert_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void text(struct slice in)
{
    struct ticket t, again;
    char out[TICKET_TEXT_SIZE];
    if (ticket_parse(in, &t) != IPX_OK) {
        return;
    }
    size_t len = ticket_print(&t, out);
    assert(len == strlen(out));
    enum ipx_err err = ticket_parse(slice_of(out, len), &again);
    assert(err == IPX_OK && again.pub_len == t.pub_len && again.n_contacts == t.n_contacts);
    assert(memcmp(again.pub, t.pub, t.pub_len) == 0);
    assert(memcmp(again.gate_key, t.gate_key, sizeof t.gate_key) == 0);
}

/* So that the fuzzer need not find a hash. */
static void content(struct slice in)
{
    char out[TICKET_TEXT_SIZE * 2], sum[5];
    size_t head = strlen(TICKET_PREFIX);
    memcpy(out, TICKET_PREFIX, head);
    size_t len = base32_encode(in, out + head, sizeof out - head - sizeof sum);
    text_checksum(TICKET_PREFIX, in, sum);
    memcpy(out + head + len, sum, sizeof sum);
    text(slice_of(out, head + len + 4));
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
    struct ticket_body body;
    struct cert issuer;
    text(in);
    content(in);
    enum ipx_err err = ticket_verify(in, x.issuer_cert, &x.mesh.mesh, &body, &issuer);
    assert(err != IPX_OK || slice_equal(in, x.pub));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coats.h"

#include "base/cbor.h"
#include "base/crypt.h"

bool coats_put(struct coats *c, const struct node_id *id, const struct addr *addr)
{
    unsigned i = 0;
    if (addr_scope(addr) == ADDR_SCOPE_NONE) {
        return false;
    }
    while (i < c->n && !node_id_equal(&c->all[i].id, id)) {
        i++;
    }
    if (i == 0 && c->n > 0 && addr_equal(&c->all[0].addr, addr)) {
        return false;
    }
    if (i == c->n) {
        c->n += c->n < COATS_MAX;
        i = c->n - 1;
    }
    memmove(&c->all[1], &c->all[0], i * sizeof(c->all[0]));
    c->all[0] = (struct coat){.id = *id, .addr = *addr};
    return true;
}

const struct addr *coats_find(const struct coats *c, const struct node_id *id)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (node_id_equal(&c->all[i].id, id)) {
            return &c->all[i].addr;
        }
    }
    return NULL;
}

void coats_encode(const struct coats *c, struct writer *w)
{
    uint8_t addr[ADDR_WIRE_MAX];
    cbor_put_array(w, c->n);
    for (unsigned i = 0; i < c->n; i++) {
        cbor_put_array(w, 2);
        cbor_put_bytes(w, slice_of(c->all[i].id.bytes, sizeof(c->all[i].id.bytes)));
        cbor_put_bytes(w, slice_of(addr, addr_encode(&c->all[i].addr, addr)));
    }
}

static bool read_coat(struct cbor_reader *r, struct coat *ret)
{
    bool is_pair = cbor_array_begin(r, 2) == 2;
    cbor_bytes_fixed(r, ret->id.bytes, sizeof(ret->id.bytes));
    struct slice addr = cbor_bytes(r, ADDR_WIRE_MAX);
    cbor_array_end(r);
    return is_pair && !r->failed && addr_decode(addr, &ret->addr) == IPX_OK &&
           crypt_key_is_valid(&ret->id);
}

enum ipx_err coats_decode(struct slice saved, struct coats *ret)
{
    struct cbor_reader r = cbor_reader_of(saved);
    struct coats back = {.n = 0}, read = {.n = 0};
    uint64_t n = cbor_array_begin(&r, COATS_MAX);
    while (read.n < n && !r.failed) {
        if (!read_coat(&r, &read.all[read.n])) {
            return IPX_MALFORMED;
        }
        read.n++;
    }
    cbor_array_end(&r);
    if (!cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    for (unsigned i = read.n; i-- > 0;) { /* the last one first, so that the order stays */
        coats_put(&back, &read.all[i].id, &read.all[i].addr);
    }
    *ret = back;
    return IPX_OK;
}

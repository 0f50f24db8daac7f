/* SPDX-License-Identifier: Apache-2.0 */
#include "node/handshake.h"

#define E_LEN 32
#define S_LEN (32 + CRYPT_TAG_LEN)
#define MACS_LEN (2 * HANDSHAKE_MAC_LEN)
#define INIT_MIN HANDSHAKE_INIT_OVERHEAD
#define RESP_MIN HANDSHAKE_RESP_OVERHEAD

static_assert(HANDSHAKE_HEADER_LEN + 4 + 24 + HANDSHAKE_COOKIE_LEN + CRYPT_TAG_LEN ==
                  HANDSHAKE_COOKIE_PACKET_LEN,
              "layout of COOKIE");

/* H(word || gate key || pk): the keys of mac1 and of cookies */
static void gate_hash(const char *word, const uint8_t gate[static 32], const struct node_id *pk,
                      uint8_t ret[static 32])
{
    uint8_t text[8 + 64];
    struct writer w = writer_of(text, sizeof(text));
    writer_bytes(&w, slice_text(word));
    writer_bytes(&w, slice_of(gate, 32));
    writer_bytes(&w, slice_of(pk->bytes, sizeof(pk->bytes)));
    assert(!w.failed);
    struct hash h = crypt_hash(writer_slice(&w));
    memcpy(ret, h.bytes, sizeof(h.bytes));
    crypt_wipe(text, sizeof(text));
}

void handshake_self_init(struct handshake_self *s, const struct handshake_self_options *options)
{
    assert(options->n_gates >= 1 && options->n_gates <= HANDSHAKE_GATES_MAX);
    memset(s, 0, sizeof(*s));
    s->key = *options->key;
    s->mesh = *options->mesh;
    s->n_gates = options->n_gates;
    crypt_dh_sk_of(&s->key, s->dh.sk);
    crypt_dh_public(s->dh.sk, s->dh.pk);
    for (size_t i = 0; i < s->n_gates; i++) {
        memcpy(s->gates[i], options->gates[i], sizeof(s->gates[i]));
        s->gate_ids[i] = crypt_hash(slice_of(s->gates[i], 32)).bytes[0];
        gate_hash("mac1", s->gates[i], &s->key.pk, s->mac1_keys[i]);
    }
    s->suites = UINT32_C(1) << CRYPT_SUITE_CHACHA20;
    if (crypt_suite_available(CRYPT_SUITE_AES256GCM)) {
        s->suites |= UINT32_C(1) << CRYPT_SUITE_AES256GCM;
    }
}

void handshake_self_done(struct handshake_self *s)
{
    crypt_wipe(s, sizeof(*s));
}

static void prologue_make(const struct handshake_self *self, uint8_t plane,
                          const uint8_t header[static HANDSHAKE_HEADER_LEN], uint8_t ret[static 25])
{
    static_assert(4 + 1 + sizeof(struct mesh_id) + HANDSHAKE_HEADER_LEN == 25, "prologue");
    struct writer w = writer_of(ret, 25);
    writer_bytes(&w, slice_text("ipx1"));
    writer_u8(&w, plane);
    writer_bytes(&w, slice_of(self->mesh.bytes, sizeof(self->mesh.bytes)));
    writer_bytes(&w, slice_of(header, HANDSHAKE_HEADER_LEN));
    assert(!w.failed && w.len == 25);
}

static void header_make(enum packet_type type, uint8_t gate_id,
                        uint8_t ret[static HANDSHAKE_HEADER_LEN])
{
    ret[0] = (uint8_t)(HANDSHAKE_WIRE_VERSION << 4 | type);
    ret[1] = gate_id;
    store_be16(ret + 2, 0); /* the only zone */
}

/* Appends mac1 and mac2 to the packet that began at `start`. */
static void macs_put(struct writer *w, size_t start, const uint8_t mac1_key[static 32],
                     const uint8_t *cookie)
{
    uint8_t mac[HANDSHAKE_MAC_LEN] = {0};
    if (w->failed) {
        return;
    }
    crypt_mac(slice_of(mac1_key, 32), slice_of(w->data + start, w->len - start), mac, sizeof(mac));
    writer_bytes(w, slice_of(mac, sizeof(mac)));
    memset(mac, 0, sizeof(mac));
    if (cookie != NULL && !w->failed) {
        crypt_mac(slice_of(cookie, HANDSHAKE_COOKIE_LEN), slice_of(w->data + start, w->len - start),
                  mac, sizeof(mac));
    }
    writer_bytes(w, slice_of(mac, sizeof(mac)));
}

/* The dialler */

void handshake_dial_init(struct handshake_dial *d, enum handshake_plane plane,
                         const struct node_id *peer)
{
    memset(d, 0, sizeof(*d));
    d->plane = (uint8_t)plane;
    d->peer = *peer;
}

enum ipx_err handshake_init_write(const struct handshake_self *self, struct handshake_dial *d,
                                  const struct handshake_init *init,
                                  const struct handshake_random *random, struct writer *w)
{
    uint8_t payload[HANDSHAKE_LINK_MAX], prologue[25], peer_dh[32], mac1_key[32];
    bool is_link = d->plane == HANDSHAKE_LINK;
    assert(!is_link || (random->index == 0 && !init->is_padded && init->cookie == NULL));
    enum ipx_err err = crypt_dh_pk_of(&d->peer, peer_dh);
    if (err != IPX_OK) {
        return err;
    }
    struct writer p =
        writer_of(payload, (is_link ? (size_t)HANDSHAKE_LINK_MAX : (size_t)HANDSHAKE_DATAGRAM_MAX) -
                               HANDSHAKE_INIT_OVERHEAD);
    handshake_init_encode(init, init->is_padded ? HANDSHAKE_INIT_PAYLOAD_MAX : 0, &p);
    if (p.failed) {
        return IPX_LIMIT;
    }
    d->gate = 0;
    d->index = random->index;
    header_make(PACKET_INIT, self->gate_ids[d->gate], d->header);
    prologue_make(self, d->plane, d->header, prologue);
    noise_init(&d->noise, slice_of(prologue, sizeof(prologue)), peer_dh);
    size_t start = w->len;
    writer_bytes(w, slice_of(d->header, sizeof(d->header)));
    writer_u32(w, d->index);
    err = noise_write_first(&d->noise, &self->dh, random->e_sk, writer_slice(&p), w);
    if (err != IPX_OK) {
        return err;
    }
    gate_hash("mac1", self->gates[d->gate], &d->peer, mac1_key);
    macs_put(w, start, mac1_key, init->cookie);
    if (w->failed) {
        return IPX_LIMIT;
    }
    memcpy(d->mac1, w->data + w->len - MACS_LEN, sizeof(d->mac1));
    d->sent_len = (uint16_t)(w->len - start);
    return IPX_OK;
}

/* RESP packets answer a known INIT: the longest is what that one was */
enum ipx_err handshake_resp_read(const struct handshake_self *self, const struct handshake_dial *d,
                                 struct slice packet, struct handshake_reply *ret)
{
    uint8_t gate;
    bool is_link = d->plane == HANDSHAKE_LINK;
    size_t len_max = is_link ? HANDSHAKE_LINK_MAX : d->sent_len;
    if (packet_type_of(packet) != PACKET_RESP || packet.len > len_max ||
        packet.data[1] != d->header[1] || load_be16(packet.data + 2) != 0) {
        return IPX_MALFORMED;
    }
    if (!handshake_gate_find(self, packet, &gate) || gate != d->gate) {
        return IPX_BAD_SIGNATURE;
    }
    struct reader r = reader_of(packet);
    reader_bytes(&r, HANDSHAKE_HEADER_LEN);
    uint32_t peer_index = reader_u32(&r);
    uint32_t index = reader_u32(&r);
    struct slice message = reader_bytes(&r, reader_left(&r) - MACS_LEN);
    if (r.failed || index != d->index || (is_link && peer_index != 0)) {
        return IPX_MALFORMED;
    }
    struct noise noise = d->noise;
    struct writer payload = writer_of(ret->payload, sizeof(ret->payload));
    enum ipx_err err =
        noise_read_second(&noise, &self->dh, self->gates[d->gate], message, &payload);
    if (err == IPX_OK) {
        err = handshake_resp_decode(writer_slice(&payload), &ret->resp);
    }
    if (err == IPX_OK) {
        ret->peer_index = peer_index;
        noise_split(&noise, true, &ret->keys);
    }
    noise_wipe(&noise);
    return err;
}

/* The answerer */

enum packet_type packet_type_of(struct slice packet)
{
    if (packet.len < HANDSHAKE_HEADER_LEN || packet.data[0] >> 4 != HANDSHAKE_WIRE_VERSION) {
        return 0;
    }
    switch (packet.data[0] & 0x0f) {
    case PACKET_INIT:
        return packet.len >= INIT_MIN && packet.len <= HANDSHAKE_LINK_MAX ? PACKET_INIT : 0;
    case PACKET_RESP:
        return packet.len >= RESP_MIN && packet.len <= HANDSHAKE_LINK_MAX ? PACKET_RESP : 0;
    case PACKET_COOKIE:
        return packet.len == HANDSHAKE_COOKIE_PACKET_LEN ? PACKET_COOKIE : 0;
    case PACKET_DATA:
        return packet.len >= HANDSHAKE_HEADER_LEN + 12 + CRYPT_TAG_LEN &&
                       packet.len <= HANDSHAKE_DATAGRAM_MAX
                   ? PACKET_DATA
                   : 0;
    default:
        return 0;
    }
}

uint32_t packet_receiver_index(struct slice packet)
{
    size_t at =
        packet_type_of(packet) == PACKET_RESP ? HANDSHAKE_HEADER_LEN + 4 : HANDSHAKE_HEADER_LEN;
    assert(packet.len >= at + 4);
    return load_be32(packet.data + at);
}

bool handshake_gate_find(const struct handshake_self *self, struct slice packet, uint8_t *ret_gate)
{
    assert(packet.len >= HANDSHAKE_HEADER_LEN + MACS_LEN);
    struct slice covered = slice_of(packet.data, packet.len - MACS_LEN);
    for (uint8_t i = 0; i < self->n_gates; i++) {
        uint8_t mac[HANDSHAKE_MAC_LEN];
        if (self->gate_ids[i] != packet.data[1]) {
            continue;
        }
        crypt_mac(slice_of(self->mac1_keys[i], 32), covered, mac, sizeof(mac));
        if (crypt_equal(mac, packet.data + covered.len, sizeof(mac))) {
            *ret_gate = i;
            return true;
        }
    }
    return false;
}

enum ipx_err handshake_init_read(const struct handshake_self *self, enum handshake_plane plane,
                                 struct slice packet, uint8_t gate, struct handshake_call *ret)
{
    uint8_t prologue[25], converted[32];
    bool is_link = plane == HANDSHAKE_LINK;
    if (packet_type_of(packet) != PACKET_INIT || load_be16(packet.data + 2) != 0 ||
        packet.len > (is_link ? HANDSHAKE_LINK_MAX : HANDSHAKE_DATAGRAM_MAX)) {
        return IPX_MALFORMED;
    }
    struct reader r = reader_of(packet);
    reader_copy(&r, ret->header, sizeof(ret->header));
    ret->peer_index = reader_u32(&r);
    struct slice message = reader_bytes(&r, reader_left(&r) - MACS_LEN);
    if (r.failed || (is_link && ret->peer_index != 0)) {
        return IPX_MALFORMED;
    }
    ret->gate = gate;
    ret->plane = (uint8_t)plane;
    ret->packet_len = (uint16_t)packet.len;
    prologue_make(self, ret->plane, ret->header, prologue);
    noise_init(&ret->noise, slice_of(prologue, sizeof(prologue)), self->dh.pk);
    struct writer payload = writer_of(ret->payload, sizeof(ret->payload));
    enum ipx_err err = noise_read_first(&ret->noise, &self->dh, message, &payload);
    if (err == IPX_OK) {
        err = handshake_init_decode(writer_slice(&payload), !is_link, &ret->init);
    }
    if (err != IPX_OK) {
        return err;
    }
    ret->init.is_padded = !is_link && packet.len == HANDSHAKE_DATAGRAM_MAX;
    /* whoever knows the static key may only speak as the Ed25519 key that it was made from */
    if (crypt_dh_pk_of(&ret->init.pk, converted) != IPX_OK ||
        !crypt_equal(converted, ret->noise.peer_s, sizeof(converted))) {
        return IPX_CONFLICT;
    }
    return node_id_equal(&ret->init.pk, &self->key.pk) ? IPX_SELF : IPX_OK;
}

size_t handshake_answer_room(const struct handshake_call *call, const struct handshake_resp *resp)
{
    uint8_t payload[HANDSHAKE_LINK_MAX];
    struct handshake_resp with = *resp;
    with.answer = (struct handshake_message){
        .is_set = true, .type = UINT8_MAX, .request_id = UINT32_MAX, .body = SLICE_EMPTY};
    struct writer p = writer_of(payload, sizeof(payload));
    handshake_resp_encode(&with, &p);
    size_t used = p.len + 2 + HANDSHAKE_RESP_OVERHEAD; /* a longer head of the body: 2 more */
    return !p.failed && call->packet_len > used ? call->packet_len - used : 0;
}

enum ipx_err handshake_resp_write(const struct handshake_self *self,
                                  const struct handshake_call *call,
                                  const struct handshake_resp *resp,
                                  const struct handshake_random *random, struct writer *w,
                                  struct noise_keys *ret_keys)
{
    uint8_t payload[HANDSHAKE_LINK_MAX], mac1_key[32], header[HANDSHAKE_HEADER_LEN];
    bool is_link = call->plane == HANDSHAKE_LINK;
    /* never more bytes out than came in from somebody who has not proved its address */
    size_t len_max = is_link ? HANDSHAKE_LINK_MAX : call->packet_len;
    struct writer p = writer_of(payload, len_max - HANDSHAKE_RESP_OVERHEAD);
    handshake_resp_encode(resp, &p);
    if (p.failed) {
        return IPX_LIMIT;
    }
    size_t start = w->len;
    header_make(PACKET_RESP, self->gate_ids[call->gate], header);
    writer_bytes(w, slice_of(header, sizeof(header)));
    writer_u32(w, is_link ? 0 : random->index);
    writer_u32(w, call->peer_index);
    struct noise noise = call->noise;
    enum ipx_err err =
        noise_write_second(&noise, random->e_sk, self->gates[call->gate], writer_slice(&p), w);
    if (err == IPX_OK) {
        gate_hash("mac1", self->gates[call->gate], &call->init.pk, mac1_key);
        macs_put(w, start, mac1_key, NULL);
        err = w->failed ? IPX_LIMIT : IPX_OK;
    }
    if (err == IPX_OK) {
        noise_split(&noise, false, ret_keys);
    }
    noise_wipe(&noise);
    return err;
}

/* Cookies */

void handshake_cookie_make(const uint8_t secret[static 32], const struct addr *from,
                           uint8_t ret[static HANDSHAKE_COOKIE_LEN])
{
    uint8_t text[ADDR_WIRE_MAX];
    size_t len = addr_encode(from, text);
    crypt_mac(slice_of(secret, 32), slice_of(text, len), ret, HANDSHAKE_COOKIE_LEN);
}

bool handshake_cookie_check(const uint8_t cookie[static HANDSHAKE_COOKIE_LEN], struct slice packet)
{
    assert(packet.len >= INIT_MIN);
    uint8_t mac[HANDSHAKE_MAC_LEN];
    size_t len = packet.len - HANDSHAKE_MAC_LEN;
    crypt_mac(slice_of(cookie, HANDSHAKE_COOKIE_LEN), slice_of(packet.data, len), mac, sizeof(mac));
    return crypt_equal(mac, packet.data + len, sizeof(mac));
}

void handshake_cookie_write(const struct handshake_self *self, struct slice init_packet,
                            const struct handshake_cookie_options *options, struct writer *w)
{
    uint8_t header[HANDSHAKE_HEADER_LEN], key[32];
    header_make(PACKET_COOKIE, self->gate_ids[options->gate], header);
    writer_bytes(w, slice_of(header, sizeof(header)));
    writer_bytes(w, slice_of(init_packet.data + HANDSHAKE_HEADER_LEN, 4));
    writer_bytes(w, slice_of(options->nonce, 24));
    uint8_t *sealed = writer_reserve(w, HANDSHAKE_COOKIE_LEN + CRYPT_TAG_LEN);
    if (sealed != NULL) {
        gate_hash("cookie", self->gates[options->gate], &self->key.pk, key);
        crypt_xseal(key, options->nonce,
                    slice_of(init_packet.data + init_packet.len - MACS_LEN, HANDSHAKE_MAC_LEN),
                    slice_of(options->cookie, HANDSHAKE_COOKIE_LEN), sealed);
    }
}

enum ipx_err handshake_cookie_read(const struct handshake_self *self,
                                   const struct handshake_dial *d, struct slice packet,
                                   uint8_t ret[static HANDSHAKE_COOKIE_LEN])
{
    uint8_t key[32], cookie[HANDSHAKE_COOKIE_LEN];
    if (packet_type_of(packet) != PACKET_COOKIE || packet_receiver_index(packet) != d->index ||
        packet.data[1] != d->header[1] || load_be16(packet.data + 2) != 0) {
        return IPX_MALFORMED;
    }
    gate_hash("cookie", self->gates[d->gate], &d->peer, key);
    const uint8_t *nonce = packet.data + HANDSHAKE_HEADER_LEN + 4;
    enum ipx_err err =
        crypt_xopen(key, nonce, slice_of(d->mac1, sizeof(d->mac1)),
                    slice_of(nonce + 24, HANDSHAKE_COOKIE_LEN + CRYPT_TAG_LEN), cookie);
    if (err == IPX_OK) {
        memcpy(ret, cookie, sizeof(cookie));
    }
    return err;
}

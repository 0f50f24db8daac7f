/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include "base/crypt.h"

#define ID_PREFIX "ipx1"
#define ID_PREFIX_LEN 4
#define ID_BASE32_LEN 52 /* 32 bytes */
#define CHECKSUM_LEN 4   /* 20 bits */

static_assert(ID_TEXT_SIZE == ID_PREFIX_LEN + ID_BASE32_LEN + CHECKSUM_LEN + 1, "text of an id");

static const char base32_digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"; /* BIP 173 */

bool node_id_equal(const struct node_id *a, const struct node_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int node_id_compare(const struct node_id *a, const struct node_id *b)
{
    int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    return (order > 0) - (order < 0);
}

bool node_id_is_zero(const struct node_id *a)
{
    static const struct node_id zero;
    return node_id_equal(a, &zero);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int dht_pos_compare(const struct dht_pos *target, const struct dht_pos *a, const struct dht_pos *b)
{
    for (size_t i = 0; i < sizeof(target->bytes); i++) {
        int da = a->bytes[i] ^ target->bytes[i];
        int db = b->bytes[i] ^ target->bytes[i];
        if (da != db) {
            return da < db ? -1 : 1;
        }
    }
    return 0;
}

unsigned dht_pos_common_bits(const struct dht_pos *a, const struct dht_pos *b)
{
    for (unsigned i = 0; i < sizeof(a->bytes); i++) {
        unsigned difference = a->bytes[i] ^ b->bytes[i];
        if (difference != 0) {
            return i * 8 + (unsigned)__builtin_clz(difference) - 24;
        }
    }
    return 256;
}

size_t base32_encode(struct slice in, char *out, size_t out_size)
{
    if (in.len > (SIZE_MAX - 7) / 8) {
        return 0;
    }
    size_t len = (in.len * 8 + 4) / 5;
    if (len >= out_size) {
        return 0;
    }
    uint32_t bits = 0; /* the lowest n_bits are still to be written */
    unsigned n_bits = 0;
    size_t pos = 0;
    for (size_t i = 0; i < in.len; i++) {
        bits = (bits << 8 | in.data[i]) & 0xfff;
        for (n_bits += 8; n_bits >= 5; n_bits -= 5) {
            out[pos++] = base32_digits[bits >> (n_bits - 5) & 31];
        }
    }
    if (n_bits > 0) {
        out[pos++] = base32_digits[bits << (5 - n_bits) & 31];
    }
    assert(pos == len);
    out[pos] = '\0';
    return len;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 0..31, or -1 if the character is no digit. */
static int base32_digit(uint8_t c)
{
    uint8_t lower = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
    const char *p = lower == '\0' ? NULL : memchr(base32_digits, lower, 32);
    return p == NULL ? -1 : (int)(p - base32_digits);
}

enum ipx_err base32_decode(struct slice text, uint8_t *out, size_t out_cap, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (is_blank(text.data[i])) {
            continue;
        }
        int digit = base32_digit(text.data[i]);
        if (digit < 0) {
            return IPX_MALFORMED;
        }
        bits = (bits << 5 | (uint32_t)digit) & 0xfff;
        n_bits += 5;
        if (n_bits < 8) {
            continue;
        }
        if (len == out_cap) {
            return IPX_LIMIT;
        }
        n_bits -= 8;
        out[len++] = (uint8_t)(bits >> n_bits);
    }
    /* What is left is padding: less than a digit, and zero, or two texts would name one thing. */
    if (n_bits >= 5 || (bits & ((1U << n_bits) - 1)) != 0) {
        return IPX_MALFORMED;
    }
    *ret_len = len;
    return IPX_OK;
}

void hex_encode(struct slice in, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < in.len; i++) {
        out[2 * i] = digits[in.data[i] >> 4];
        out[2 * i + 1] = digits[in.data[i] & 15];
    }
    out[2 * in.len] = '\0';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum ipx_err hex_decode(struct slice text, uint8_t *out, size_t out_cap, size_t *ret_len)
{
    if (text.len % 2 != 0) {
        return IPX_MALFORMED;
    }
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.data[i]);
        int low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0) {
            return IPX_MALFORMED;
        }
        if (i / 2 == out_cap) {
            return IPX_LIMIT;
        }
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *ret_len = text.len / 2;
    return IPX_OK;
}

struct hash node_fingerprint(const struct node_id *id)
{
    return crypt_hash2(slice_text("ipx-id1"), slice_of(id->bytes, sizeof(id->bytes)));
}

void text_checksum(const char *prefix, struct slice bytes, char out[static 5])
{
    char text[ID_BASE32_LEN + 1];
    struct hash h = crypt_hash2(slice_text(prefix), bytes);
    size_t len = base32_encode(slice_of(h.bytes, sizeof(h.bytes)), text, sizeof(text));
    assert(len == ID_BASE32_LEN);
    memcpy(out, text, CHECKSUM_LEN);
    out[CHECKSUM_LEN] = '\0';
}

void node_id_text(const struct node_id *id, char out[static ID_TEXT_SIZE])
{
    struct hash fingerprint = node_fingerprint(id);
    struct slice bytes = slice_of(fingerprint.bytes, sizeof(fingerprint.bytes));
    memcpy(out, ID_PREFIX, ID_PREFIX_LEN);
    size_t len = base32_encode(bytes, out + ID_PREFIX_LEN, ID_BASE32_LEN + 1);
    assert(len == ID_BASE32_LEN);
    text_checksum(ID_PREFIX, bytes, out + ID_PREFIX_LEN + ID_BASE32_LEN);
}

void node_id_short(const struct node_id *id, char out[static ID_SHORT_LEN + 1])
{
    char text[ID_TEXT_SIZE];
    node_id_text(id, text);
    memcpy(out, text + ID_PREFIX_LEN, ID_SHORT_LEN);
    out[ID_SHORT_LEN] = '\0';
}

/* Drops white space and folds case; false if the text is not ID_TEXT_SIZE - 1 characters then. */
static bool id_text_normalise(struct slice text, char out[static ID_TEXT_SIZE])
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (is_blank(c)) {
            continue;
        }
        if (len == ID_TEXT_SIZE - 1) {
            return false;
        }
        out[len++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[len] = '\0';
    return len == ID_TEXT_SIZE - 1;
}

enum ipx_err node_fingerprint_parse(struct slice text, struct hash *ret)
{
    char plain[ID_TEXT_SIZE];
    char checksum[CHECKSUM_LEN + 1];
    struct hash h;
    size_t len = 0;
    if (!id_text_normalise(text, plain) || memcmp(plain, ID_PREFIX, ID_PREFIX_LEN) != 0) {
        return IPX_MALFORMED;
    }
    struct slice digits = slice_of(plain + ID_PREFIX_LEN, ID_BASE32_LEN);
    if (base32_decode(digits, h.bytes, sizeof(h.bytes), &len) != IPX_OK || len != sizeof(h.bytes)) {
        return IPX_MALFORMED;
    }
    text_checksum(ID_PREFIX, slice_of(h.bytes, sizeof(h.bytes)), checksum);
    if (strcmp(checksum, plain + ID_PREFIX_LEN + ID_BASE32_LEN) != 0) {
        return IPX_MALFORMED;
    }
    *ret = h;
    return IPX_OK;
}

struct mesh_id mesh_id_of(const struct node_id *root)
{
    struct mesh_id mesh;
    struct hash h =
        crypt_hash2(slice_text("ipx-mesh1"), slice_of(root->bytes, sizeof(root->bytes)));
    memcpy(mesh.bytes, h.bytes, sizeof(mesh.bytes));
    return mesh;
}

struct dht_pos dht_pos_of(const struct mesh_id *mesh, const uint8_t nonce[static 16],
                          const struct node_id *id)
{
    uint8_t input[sizeof(mesh->bytes) + 16 + sizeof(id->bytes)];
    struct writer w = writer_of(input, sizeof(input));
    writer_bytes(&w, slice_of(mesh->bytes, sizeof(mesh->bytes)));
    writer_bytes(&w, slice_of(nonce, 16));
    writer_bytes(&w, slice_of(id->bytes, sizeof(id->bytes)));
    struct hash h = crypt_hash2(slice_text("ipx-pos1"), writer_slice(&w));
    struct dht_pos pos;
    static_assert(sizeof(pos) == sizeof(h), "a position is a hash");
    memcpy(pos.bytes, h.bytes, sizeof(pos.bytes));
    return pos;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>

#include "base/keys.h"

enum {
    KEY_KIND = 1,
    KEY_PUBLIC = 2,
    KEY_SEED = 3,   /* open */
    KEY_SEALED = 4, /* seed and tag */
    KEY_SALT = 5,
    KEY_NONCE = 6,
    KEY_OPS = 7,
    KEY_MEM = 8
};
#define KEYS_OPEN (1u << KEY_KIND | 1u << KEY_PUBLIC | 1u << KEY_SEED)
#define KEYS_SEALED                                                                                \
    (1u << KEY_KIND | 1u << KEY_PUBLIC | 1u << KEY_SEALED | 1u << KEY_SALT | 1u << KEY_NONCE |     \
     1u << KEY_OPS | 1u << KEY_MEM)
#define SEALED_LEN (32 + CRYPT_TAG_LEN)
#define SEAL_AD "ipx-root-key1"

struct keys_file {
    enum keys_kind kind;
    bool is_sealed;
    struct node_id pk;
    uint8_t seed[32];
    uint8_t sealed[SEALED_LEN];
    struct keys_seal seal; /* without the passphrase */
};

static struct node_id pk_of_seed(const uint8_t seed[static 32])
{
    struct crypt_keypair pair;
    enum ipx_err err = crypt_keypair_from_seed(seed, &pair);
    assert(err == IPX_OK); /* the caller made its key of this seed */
    crypt_wipe(pair.sk, sizeof pair.sk);
    return pair.pk;
}

static void head_put(struct writer *w, uint64_t n_keys, enum keys_kind kind,
                     const struct node_id *pk)
{
    cbor_put_map(w, n_keys);
    cbor_put_u64(w, KEY_KIND);
    cbor_put_u64(w, (uint64_t)kind);
    cbor_put_u64(w, KEY_PUBLIC);
    cbor_put_bytes(w, slice_of(pk->bytes, sizeof pk->bytes));
}

void keys_file_put(struct writer *w, enum keys_kind kind, const uint8_t seed[static 32])
{
    struct node_id pk = pk_of_seed(seed);
    head_put(w, 3, kind, &pk);
    cbor_put_u64(w, KEY_SEED);
    cbor_put_bytes(w, slice_of(seed, 32));
}

static enum ipx_err seal_key(const struct keys_seal *seal, uint8_t ret[static 32])
{
    int rc =
        crypto_pwhash(ret, 32, (const char *)seal->passphrase.data, seal->passphrase.len,
                      seal->salt, seal->ops, (size_t)seal->mem_bytes, crypto_pwhash_ALG_ARGON2ID13);
    return rc == 0 ? IPX_OK : IPX_NO_MEMORY;
}

enum ipx_err keys_file_put_sealed(struct writer *w, const uint8_t seed[static 32],
                                  const struct keys_seal *seal)
{
    _Static_assert(sizeof seal->salt == crypto_pwhash_SALTBYTES, "salt of Argon2id");
    assert(seal->passphrase.len > 0 && seal->ops >= 1 && seal->mem_bytes >= KEYS_SEAL_MEM_MIN);
    uint8_t key[32], sealed[SEALED_LEN];
    enum ipx_err err = seal_key(seal, key);
    if (err != IPX_OK) {
        return err;
    }
    crypt_xseal(key, seal->nonce, slice_text(SEAL_AD), slice_of(seed, 32), sealed);
    crypt_wipe(key, sizeof key);
    struct node_id pk = pk_of_seed(seed);
    head_put(w, 7, KEYS_ROOT, &pk);
    cbor_put_u64(w, KEY_SEALED);
    cbor_put_bytes(w, slice_of(sealed, sizeof sealed));
    cbor_put_u64(w, KEY_SALT);
    cbor_put_bytes(w, slice_of(seal->salt, sizeof seal->salt));
    cbor_put_u64(w, KEY_NONCE);
    cbor_put_bytes(w, slice_of(seal->nonce, sizeof seal->nonce));
    cbor_put_u64(w, KEY_OPS);
    cbor_put_u64(w, seal->ops);
    cbor_put_u64(w, KEY_MEM);
    cbor_put_u64(w, seal->mem_bytes);
    return IPX_OK;
}

static void file_key_get(struct cbor_reader *r, uint64_t key, struct keys_file *f)
{
    switch (key) {
    case KEY_KIND:
        f->kind = (enum keys_kind)cbor_uint_max(r, KEYS_ROOT);
        break;
    case KEY_PUBLIC:
        cbor_bytes_fixed(r, f->pk.bytes, sizeof f->pk.bytes);
        break;
    case KEY_SEED:
        cbor_bytes_fixed(r, f->seed, sizeof f->seed);
        break;
    case KEY_SEALED:
        cbor_bytes_fixed(r, f->sealed, sizeof f->sealed);
        break;
    case KEY_SALT:
        cbor_bytes_fixed(r, f->seal.salt, sizeof f->seal.salt);
        break;
    case KEY_NONCE:
        cbor_bytes_fixed(r, f->seal.nonce, sizeof f->seal.nonce);
        break;
    case KEY_OPS:
        f->seal.ops = cbor_u64(r);
        break;
    case KEY_MEM:
        f->seal.mem_bytes = cbor_u64(r);
        break;
    default:
        cbor_skip_unknown(r, key);
        break;
    }
}

static enum ipx_err file_decode(struct slice in, struct keys_file *ret)
{
    struct keys_file f = {.is_sealed = false};
    struct cbor_reader r = cbor_reader_of(in);
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? 1u << key : 0;
        file_key_get(&r, key, &f);
    }
    uint32_t known = seen & (KEYS_OPEN | KEYS_SEALED);
    f.is_sealed = known == KEYS_SEALED;
    if (!cbor_done(&r) || (known != KEYS_OPEN && !f.is_sealed) || (int)f.kind == 0) {
        return IPX_MALFORMED;
    }
    *ret = f;
    crypt_wipe(&f, sizeof f);
    return IPX_OK;
}

enum ipx_err keys_file_is_sealed(struct slice in, bool *ret)
{
    struct keys_file f;
    enum ipx_err err = file_decode(in, &f);
    if (err == IPX_OK) {
        *ret = f.is_sealed;
        crypt_wipe(&f, sizeof f);
    }
    return err;
}

static enum ipx_err file_unseal(struct keys_file *f)
{
    uint8_t key[32];
    if (f->seal.passphrase.len == 0) {
        return IPX_DENIED;
    }
    if (f->seal.ops < 1 || f->seal.ops > KEYS_SEAL_OPS_MAX ||
        f->seal.mem_bytes < KEYS_SEAL_MEM_MIN || f->seal.mem_bytes > KEYS_SEAL_MEM_MAX) {
        return IPX_LIMIT;
    }
    enum ipx_err err = seal_key(&f->seal, key);
    if (err == IPX_OK) {
        err = crypt_xopen(key, f->seal.nonce, slice_text(SEAL_AD),
                          slice_of(f->sealed, sizeof f->sealed), f->seed);
        err = err == IPX_OK ? IPX_OK : IPX_REFUSED;
    }
    crypt_wipe(key, sizeof key);
    return err;
}

enum ipx_err keys_file_get(struct slice in, enum keys_kind kind, struct slice passphrase,
                           struct crypt_keypair *ret)
{
    struct keys_file f;
    struct crypt_keypair pair;
    enum ipx_err err = file_decode(in, &f);
    if (err != IPX_OK) {
        return err;
    }
    f.seal.passphrase = passphrase;
    if (f.kind != kind) {
        err = IPX_TYPE;
    } else if (f.is_sealed) {
        err = file_unseal(&f);
    }
    if (err == IPX_OK &&
        (crypt_keypair_from_seed(f.seed, &pair) != IPX_OK || !node_id_equal(&pair.pk, &f.pk))) {
        err = IPX_CONFLICT;
    }
    if (err == IPX_OK) {
        *ret = pair;
        crypt_wipe(&pair, sizeof pair);
    }
    crypt_wipe(&f, sizeof f);
    return err;
}

enum ipx_err keys_signer_make(const struct crypt_keypair *key, struct slice cert,
                              const struct mesh_id *mesh, struct cert_signer *ret)
{
    struct cert c;
    enum ipx_err err = cert_issuer_verify(cert, mesh, &c);
    if (err != IPX_OK) {
        return err;
    }
    if (!node_id_equal(&c.subject, &key->pk)) {
        return IPX_CONFLICT;
    }
    *ret = (struct cert_signer){.key = *key, .cert = c, .len = cert.len};
    memcpy(ret->bytes, cert.data, cert.len);
    return IPX_OK;
}

enum ipx_err keys_issuer_make(const struct crypt_keypair *root, const struct crypt_keypair *key,
                              const struct keys_issuer_plan *plan, struct cert_signer *ret)
{
    struct slice lab = slice_text(plan->lab), name = slice_text(plan->name);
    if ((strcmp(plan->lab, CERT_LAB_ANY) != 0 && !cert_lab_is_valid(lab)) ||
        (name.len > 0 && !cert_name_is_valid(name))) {
        return IPX_MALFORMED;
    }
    if ((plan->caps & CERT_CAP_ISSUE) == 0) {
        return IPX_CAPS;
    }
    struct cert_signer s = {
        .key = *key,
        .cert = {.mesh = mesh_id_of(&root->pk),
                 .kind = CERT_KIND_ISSUER,
                 .subject = key->pk,
                 .issuer = root->pk,
                 .grant = {.serial = plan->serial,
                           .caps = plan->caps,
                           .not_before_ms = plan->wall_ms,
                           .not_after_ms = plan->wall_ms + CERT_ISSUER_LIFE_MS}}};
    memcpy(s.cert.grant.lab, lab.data, lab.len);
    memcpy(s.cert.name, name.data, name.len);
    struct writer w = writer_of(s.bytes, sizeof s.bytes);
    cert_sign(&s.cert, root, &w);
    assert(!w.failed);
    s.len = w.len;
    *ret = s;
    return IPX_OK;
}

/* The first node: admitted by the issuer that was made with it. */
static enum ipx_err first_chain_make(const struct keys_new_plan *plan, struct keys_new *n)
{
    struct cert node = {.kind = CERT_KIND_NODE,
                        .subject = plan->node->pk,
                        .admitter = plan->issuer->pk,
                        .birth_issuer = plan->issuer->pk,
                        .birth_serial = plan->node_serial,
                        .admitted_ms = plan->wall_ms,
                        .grant = {.serial = plan->node_serial,
                                  .caps = CERT_ROLE_OPERATOR,
                                  .not_before_ms = plan->wall_ms,
                                  .not_after_ms = plan->wall_ms + CERT_NODE_LIFE_MS}};
    memcpy(node.grant.lab, plan->lab, strlen(plan->lab));
    memcpy(node.name, plan->name, strlen(plan->name));
    memcpy(node.nonce, plan->nonce, sizeof node.nonce);
    uint8_t bytes[CERT_BYTES_MAX];
    struct writer cert = writer_of(bytes, sizeof bytes);
    enum ipx_err err = cert_issue(&n->signer, &node, plan->wall_ms, &cert);
    if (err != IPX_OK) {
        return err;
    }
    struct writer chain = writer_of(n->chain, sizeof n->chain);
    cert_chain_put_plain(&chain, writer_slice(&cert), slice_of(n->signer.bytes, n->signer.len));
    n->chain_len = chain.len;
    return cert_chain_verify(writer_slice(&chain), &n->mesh, plan->wall_ms, &plan->node->pk,
                             &n->facts);
}

enum ipx_err keys_new_mesh(const struct keys_new_plan *plan, struct keys_new *ret)
{
    if (!cert_lab_is_valid(slice_text(plan->lab)) || !cert_name_is_valid(slice_text(plan->name))) {
        return IPX_MALFORMED;
    }
    if (node_id_equal(&plan->root->pk, &plan->issuer->pk) ||
        node_id_equal(&plan->root->pk, &plan->node->pk) ||
        node_id_equal(&plan->issuer->pk, &plan->node->pk)) {
        return IPX_CONFLICT;
    }
    struct keys_new n = {.mesh = mesh_id_of(&plan->root->pk)};
    struct keys_issuer_plan issuer = {.lab = CERT_LAB_ANY,
                                      .name = plan->name,
                                      .caps = CERT_CAPS_ALL,
                                      .serial = plan->issuer_serial,
                                      .wall_ms = plan->wall_ms};
    enum ipx_err err = keys_issuer_make(plan->root, plan->issuer, &issuer, &n.signer);
    if (err == IPX_OK) {
        err = first_chain_make(plan, &n);
    }
    if (err == IPX_OK) {
        *ret = n;
    }
    crypt_wipe(&n, sizeof n);
    return err;
}

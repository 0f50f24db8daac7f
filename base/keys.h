/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keys at rest, and the making of a mesh (overlay 1.1, 1.2; docs/decisions/0002-issuer-key.md).
 *
 * Files hold one CBOR map each; who writes them sees to mode 0600. A node's and an issuer's key
 * lie open in the home of their node; the root key is sealed with a passphrase (Argon2id), or
 * lies open only where --root-out put it.
 *
 * Pure: entropy (seeds, nonces, salt) comes from the caller. Sealing takes KEYS_SEAL_MEM of
 * memory and the better part of a second: not in the reactor.
 */
#include "base/cert.h"

#define KEYS_FILE_MAX 256                   /* any key file */
#define KEYS_SEAL_OPS 3                     /* passes of Argon2id over the memory */
#define KEYS_SEAL_MEM (UINT64_C(256) << 20) /* bytes */
#define KEYS_SEAL_OPS_MAX 16                /* a file that asks for more is refused, not served */
#define KEYS_SEAL_MEM_MAX (UINT64_C(1) << 30)
#define KEYS_SEAL_MEM_MIN UINT64_C(8192)

enum keys_kind { KEYS_NODE = 1, KEYS_ISSUER = 2, KEYS_ROOT = 3 };

struct keys_seal {
    struct slice passphrase; /* not empty */
    uint8_t salt[16];        /* fresh entropy; unused when opening */
    uint8_t nonce[24];
    uint64_t ops, mem_bytes; /* KEYS_SEAL_OPS, KEYS_SEAL_MEM; less only in tests */
};

/* An open key file: kind, seed, public key as a check. Length is at most KEYS_FILE_MAX. */
void keys_file_put(struct writer *w, enum keys_kind kind, const uint8_t seed[static 32]);
/* The root key sealed. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err keys_file_put_sealed(struct writer *w, const uint8_t seed[static 32],
                                               const struct keys_seal *seal);
/* `passphrase` may be empty for an open file. Conditions: IPX_MALFORMED, IPX_TYPE (another kind of
 * key), IPX_DENIED (sealed, and no passphrase given), IPX_REFUSED (wrong passphrase, or altered),
 * IPX_LIMIT (wants more than KEYS_SEAL_*_MAX), IPX_CONFLICT (seed and public key do not match).
 * Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err keys_file_get(struct slice in, enum keys_kind kind,
                                        struct slice passphrase, struct crypt_keypair *ret);
/* Says whether a passphrase is needed. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err keys_file_is_sealed(struct slice in, bool *ret);

/* An issuer as it is loaded from its key and its certificate. Conditions: those of
 * cert_issuer_verify; IPX_CONFLICT (certificate of another key). */
IPX_MUST_USE enum ipx_err keys_signer_make(const struct crypt_keypair *key, struct slice cert,
                                           const struct mesh_id *mesh, struct cert_signer *ret);

struct keys_issuer_plan {
    const char *lab;  /* CERT_LAB_ANY or one lab */
    const char *name; /* whose it is, for people; may be "" */
    uint32_t caps;    /* must hold ISSUE */
    uint64_t serial;
    int64_t wall_ms;
};
/* The root makes an issuer, good for CERT_ISSUER_LIFE_MS. Conditions: IPX_MALFORMED (lab, name),
 * IPX_CAPS (without ISSUE). */
IPX_MUST_USE enum ipx_err keys_issuer_make(const struct crypt_keypair *root,
                                           const struct crypt_keypair *key,
                                           const struct keys_issuer_plan *plan,
                                           struct cert_signer *ret);

/* `new`: root, issuer (lab "*", all caps) and the first node (operator) at once. */
struct keys_new_plan {
    const struct crypt_keypair *root, *issuer, *node; /* three different keys */
    const char *lab, *name;                           /* of the node */
    uint8_t nonce[16];                                /* placement nonce */
    uint64_t issuer_serial, node_serial;              /* random */
    int64_t wall_ms;
};
struct keys_new {
    struct mesh_id mesh;
    struct cert_signer signer;
    uint8_t chain[CERT_CHAIN_MAX]; /* the first node's, plain */
    size_t chain_len;
    struct cert_facts facts; /* of that chain, verified */
};
/* Conditions: IPX_MALFORMED (lab or name), IPX_CONFLICT (keys not different). */
IPX_MUST_USE enum ipx_err keys_new_mesh(const struct keys_new_plan *plan, struct keys_new *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the admission module share among themselves (admit.c, admit_answer.c,
 * admit_notice.c). Not for others.
 */
#include "base/admit.h"

/* What each signature is bound to */
#define ADMIT_TYPE_ONE_TIME "redeem-ticket"
#define ADMIT_TYPE_NODE "redeem-node"
#define ADMIT_TYPE_REDEMPTION "admit"
#define ADMIT_TYPE_NOTICE "admit-notice"

/* {1 serial, 2 key, 3 name}: the bytes that the joiner's two signatures cover */
void admit_claim_put(struct writer *w, const struct admit_claim *c);
IPX_MUST_USE enum ipx_err admit_claim_decode(struct slice in, struct admit_claim *ret);
/* CRYPT_SIG_LEN bytes, borrowed; fails the reader if they are not that many. */
const uint8_t *admit_sig_get(struct cbor_reader *r);
/* The unsigned content of a notice: gossip signs it, the book keeps it. */
#define ADMIT_NOTICE_BODY_MAX (ADMIT_NOTICE_MAX - SIGNED_OVERHEAD)
void admit_notice_body_put(struct writer *w, const struct admit_notice *n);
IPX_MUST_USE enum ipx_err admit_notice_body_decode(struct slice in, struct admit_notice *ret);

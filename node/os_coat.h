/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The certificate and key of a node's coats, in the file coat.tls of its home: each behind its
 * length, u16. Made when they are first needed; nobody checks them (node/tls.h).
 */
#include "node/tls.h"

/* Conditions: IPX_MALFORMED, IPX_LIMIT (what the file holds). Faults: IPX_IO, IPX_NO_MEMORY,
 * IPX_CRYPTO. */
IPX_MUST_USE enum ipx_err os_coat_identity(const char *home, struct mem *mem,
                                           struct tls_identity *ret);

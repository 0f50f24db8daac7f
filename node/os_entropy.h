/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The kernel's randomness, for keys and seeds. Blocks only where a machine has just booted and
 * has none yet; asserts that the kernel gives it, for without it nothing here is safe.
 */
#include "base/crypt.h"

void os_entropy(void *out, size_t len);
/* A fresh seed whose key is one of ours (crypt_keypair_from_seed), and that key. */
void os_entropy_key(uint8_t ret_seed[static 32], struct crypt_keypair *ret_key);

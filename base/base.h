/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What every file of ipx includes: fixed-width types, the assert that stays on,
 * attributes, scope-bound clean-up and a few numeric helpers. No I/O, no state.
 *
 * Asserts check the programmer, never a peer: bytes from outside are refused
 * with an error or dropped and counted.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef NDEBUG
#error "asserts are part of the program: build without NDEBUG"
#endif

#define IPX_MUST_USE __attribute__((warn_unused_result))
#define IPX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Runs `fn(&variable)` when the variable leaves its scope; every local owner carries it. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Moves an owning pointer out of a CLEANUP variable: yields it and leaves NULL behind. */
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_value_ = (p);                                                           \
        (p) = NULL;                                                                                \
        take_value_;                                                                               \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define IPX_MIN(a, b) ((a) < (b) ? (a) : (b))
#define IPX_MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define CONTAINER_OF_CONST(ptr, type, member)                                                      \
    ((const type *)((const char *)(ptr)-offsetof(type, member)))

/* Time in cores is monotonic microseconds (`now_us`); these are the units used with it. */
#define US_PER_MS UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)
#define NEVER_US UINT64_MAX /* a deadline that never comes */

#include "base/err.h"

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one error list of ipx.
 *
 * 0 is success. A positive value is a *condition*: the header of the function
 * lists it under "Conditions:", the direct caller handles it and never forwards
 * it blindly. A negative value is a *fault*: it is forwarded unchanged. Codes
 * travel on the wire and into JSON by name, so an entry is never renamed.
 * A malformed packet of a peer is neither: it is counted and dropped.
 */

/* name, value, text for people */
#define IPX_ERR_LIST(X)                                                                            \
    X(OK, 0, "ok")                                                                                 \
    X(AGAIN, 1, "not yet, try again")                                                              \
    X(FULL, 2, "full")                                                                             \
    X(NOT_FOUND, 3, "not found")                                                                   \
    X(EXISTS, 4, "exists already")                                                                 \
    X(MALFORMED, 5, "malformed")                                                                   \
    X(EXPIRED, 6, "expired")                                                                       \
    X(NOT_YET, 7, "not valid yet")                                                                 \
    X(REFUSED, 8, "refused")                                                                       \
    X(DENIED, 9, "not allowed")                                                                    \
    X(STALE, 10, "older than what is known")                                                       \
    X(SELF, 11, "is this node itself")                                                             \
    X(END, 12, "no more")                                                                          \
    X(LIMIT, 13, "over a limit")                                                                   \
    X(OTHER_MESH, 14, "belongs to another mesh")                                                   \
    X(BAD_SIGNATURE, 15, "signature does not match")                                               \
    X(BAD_CHAIN, 16, "certificate chain is not valid")                                             \
    X(NEED_CHAIN, 17, "certificate chain wanted")                                                  \
    X(UNKNOWN_ISSUER, 18, "unknown issuer")                                                        \
    X(USED, 19, "used already")                                                                    \
    X(NAME_TAKEN, 20, "name is taken")                                                             \
    X(CLOCK, 21, "clocks differ")                                                                  \
    X(REVOKED, 22, "revoked")                                                                      \
    X(BUSY, 23, "busy")                                                                            \
    X(CLOSED, 24, "closed")                                                                        \
    X(TIMEOUT, 25, "timed out")                                                                    \
    X(TYPE, 26, "wrong type")                                                                      \
    X(UNREACHABLE, 27, "cannot be reached")                                                        \
    X(VERSION, 28, "no common version")                                                            \
    X(CONFLICT, 29, "conflicts with what is known")                                                \
    X(NO_MATCH, 30, "nothing matches")                                                             \
    X(CAPS, 31, "grants more than its issuer may")                                                 \
    X(PATH_LEN, 32, "certificate chain is too long")                                               \
    X(WRONG_LAB, 33, "lab is not its issuer's")                                                    \
    X(LIFETIME, 34, "valid for longer than its issuer")                                            \
    X(CHECKSUM, 35, "checksum does not match")                                                     \
    X(BAD_KEY, 36, "not a valid key")                                                              \
    X(NO_MEMORY, -1, "out of memory")                                                              \
    X(IO, -2, "input or output failed")                                                            \
    X(CRYPTO, -3, "cryptography failed")                                                           \
    X(INTERNAL, -4, "internal error")

enum ipx_err {
#define X(name, value, text) IPX_##name = (value),
    IPX_ERR_LIST(X)
#undef X
};

/* "NOT_FOUND" and "not found"; an unknown code gives "UNKNOWN" and "unknown error". */
const char *err_name(enum ipx_err err);
const char *err_text(enum ipx_err err);

static inline bool err_is_fault(enum ipx_err err)
{
    return err < 0;
}

/* Drops a result on purpose; `why` is for the reader. gcc ignores (void) on must-use results. */
#define err_ignore(expr, why)                                                                      \
    do {                                                                                           \
        if ((expr) != IPX_OK) {                                                                    \
            (void)(why);                                                                           \
        }                                                                                          \
    } while (0)

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The book of known admissions: which key a ticket admitted, so that one ticket is one membership
 * (overlay 1.2, "Over-use"). Every member keeps one: an admitter asks it before it admits, all feed
 * it from notices (gossip) and from the chains they verify.
 *
 * Of several admissions of one ticket the earliest (admitted_ms, admitter, key) is the valid one,
 * in whatever order they become known. A loser admitted less than ADMIT_CONFLICT_MS before the
 * conflict was seen is dropped; else both stay and only the event tells. The verdict on a loser is
 * kept as long as the entry.
 *
 * A notice whose one-time signature cannot be checked yet never displaces one that is proved; once
 * the ticket's one-time key is known, a false one is refused or removed.
 *
 * Invariant: at most `capacity` entries, one a (issuer tag, serial); the least recently used leaves
 * first. Memory is taken once at init. Pure; times are Unix ms.
 */
#include "base/admit.h"
#include "base/map.h"

#define ADMIT_BOOK_MAX 4096 /* tickets; about 0.4 KiB each */
#define ADMIT_BOOK_LOSERS 4 /* verdicts kept a ticket; further ones push out the oldest */
#define ADMIT_CONFLICT_MS (10 * 60 * 1000)
#define ADMIT_BOOK_ENTRY_MAX 480 /* encoded, with its losers */

struct admit_book_entry; /* private */

struct admit_book {
    struct mem *mem;
    struct mesh_id mesh;
    struct map index; /* issuer tag || serial -> entry */
    struct admit_book_entry *entries;
    uint32_t capacity, room, count; /* entries: at most, allocated, used */
    uint32_t newest, oldest;        /* ends of the list by use; MAP_EMPTY when there is none */
};

struct admit_seen {
    struct admit_notice winner; /* the valid admission of this ticket */
    struct admit_notice loser;  /* IPX_CONFLICT: the other one */
    bool is_new;                /* not known before: gossip the notice, tell of the conflict */
    bool is_dropped;            /* IPX_CONFLICT: the loser is to be treated as no member */
};

/* `capacity` <= ADMIT_BOOK_MAX; `secret` from an rng. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err admit_book_init(struct admit_book *b, struct mem *mem,
                                          const struct mesh_id *mesh, uint32_t capacity,
                                          const uint8_t secret[static 16]);
void admit_book_done(struct admit_book *b);

/* What is known of a ticket before a verified request is admitted. Conditions: IPX_NOT_FOUND:
 * nothing that holds, admit it; IPX_OK: this key already: hand out the same nonce (and the same
 * admitted_ms if this node was the admitter); IPX_CONFLICT: this key under another name, *ret
 * tells which; IPX_USED: by another key, *ret tells whose. */
IPX_MUST_USE enum ipx_err admit_book_find(struct admit_book *b, const struct admit_request *req,
                                          struct admit_notice *ret);
/* An admission became known. `one_time`: the ticket's key where the ticket is at hand, else NULL.
 * Conditions: IPX_OK: it is the valid one, recorded; IPX_EXISTS: nothing new, ret->winner is what
 * is known of this key; IPX_CONFLICT: another key has the ticket too, see *ret; IPX_BAD_SIGNATURE:
 * its proof is false, ignored. */
IPX_MUST_USE enum ipx_err admit_book_see(struct admit_book *b, const struct admit_notice *n,
                                         const struct node_id *one_time, int64_t wall_ms,
                                         struct admit_seen *ret);
/* The holder of this verified chain lost its ticket to another and is to be dropped. Ask after
 * admit_book_see of the same chain: what is proved may turn hearsay round. */
bool admit_book_is_dropped(const struct admit_book *b, const struct cert_facts *facts);

/* How many tickets of this issuer (ADMIT_TAG_LEN bytes of its key) admitted somebody since then. */
uint32_t admit_book_count_since(const struct admit_book *b, const uint8_t *issuer_tag,
                                int64_t since_ms);

/* For the disk: one CBOR array, the least recently used first, <= 8 + ADMIT_BOOK_ENTRY_MAX bytes
 * an entry. Loading adds to what is there; it trusts the file. Conditions: IPX_MALFORMED (what
 * came before the fault is kept). */
void admit_book_save(const struct admit_book *b, struct writer *w);
IPX_MUST_USE enum ipx_err admit_book_load(struct admit_book *b, struct slice in);
/* Asserts the invariant. */
void admit_book_check(const struct admit_book *b);

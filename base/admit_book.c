/* SPDX-License-Identifier: Apache-2.0 */
#include "base/admit_book.h"
#include "base/admit_wire.h"

#define BOOK_KEY_LEN (ADMIT_TAG_LEN + 8)
#define BOOK_STEP 16 /* first size; it doubles up to the capacity */

struct book_loser {
    struct node_id id;
    bool is_dropped;
};

struct admit_book_entry {
    struct admit_notice notice; /* the valid admission as far as is known */
    bool has_one_time;
    struct node_id one_time; /* the ticket's key */
    uint8_t n_losers;
    struct book_loser losers[ADMIT_BOOK_LOSERS]; /* the oldest verdict first */
    uint32_t newer, older;                       /* list by use */
};

/* Keys of a saved entry */
enum { SAVED_NOTICE = 1, SAVED_IS_PROVED = 2, SAVED_ONE_TIME = 3, SAVED_LOSERS = 4 };
_Static_assert(1 + 1 + ADMIT_NOTICE_BODY_MAX + 2 + 35 + 2 + ADMIT_BOOK_LOSERS * (1 + 34 + 1) <=
                   ADMIT_BOOK_ENTRY_MAX,
               "a saved entry fits its limit");

/* Nothing has changed without memory. */
static enum ipx_err book_grow(struct admit_book *b, const uint8_t secret[static 16]);

enum ipx_err admit_book_init(struct admit_book *b, struct mem *mem, const struct mesh_id *mesh,
                             uint32_t capacity, const uint8_t secret[static 16])
{
    assert(capacity > 0 && capacity <= ADMIT_BOOK_MAX);
    *b = (struct admit_book){
        .mem = mem, .mesh = *mesh, .capacity = capacity, .newest = MAP_EMPTY, .oldest = MAP_EMPTY};
    enum ipx_err err = book_grow(b, secret);
    if (err != IPX_OK) {
        mem_free(mem, b->entries);
        b->entries = NULL;
    }
    return err;
}

void admit_book_done(struct admit_book *b)
{
    map_done(&b->index);
    mem_free(b->mem, b->entries);
    b->entries = NULL;
    b->count = 0;
}

static void book_key(const uint8_t tag[static ADMIT_TAG_LEN], uint64_t serial,
                     uint8_t out[static BOOK_KEY_LEN])
{
    memcpy(out, tag, ADMIT_TAG_LEN);
    store_be64(out + ADMIT_TAG_LEN, serial);
}

static enum ipx_err book_grow(struct admit_book *b, const uint8_t secret[static 16])
{
    struct map index;
    uint32_t room = IPX_MIN(IPX_MAX(b->room * 2, (uint32_t)BOOK_STEP), b->capacity);
    struct admit_book_entry *entries = mem_realloc(b->mem, b->entries, room * sizeof(*entries));
    if (entries == NULL) {
        return IPX_NO_MEMORY;
    }
    b->entries = entries;
    enum ipx_err err = map_init(&index, b->mem, room, BOOK_KEY_LEN, secret);
    if (err != IPX_OK) {
        return err;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        uint8_t key[BOOK_KEY_LEN];
        const struct admit_notice *n = &entries[i].notice;
        book_key(n->issuer_tag, n->claim.serial, key);
        err = map_set(&index, key, i);
        assert(err == IPX_OK);
    }
    map_done(&b->index);
    b->index = index;
    b->room = room;
    return IPX_OK;
}

static uint32_t index_of(const struct admit_book *b, const uint8_t *tag, uint64_t serial)
{
    uint8_t key[BOOK_KEY_LEN];
    book_key(tag, serial, key);
    return map_find(&b->index, key);
}

static void use_unlink(struct admit_book *b, uint32_t i)
{
    struct admit_book_entry *e = &b->entries[i];
    *(e->newer == MAP_EMPTY ? &b->newest : &b->entries[e->newer].older) = e->older;
    *(e->older == MAP_EMPTY ? &b->oldest : &b->entries[e->older].newer) = e->newer;
}

static void use_link_newest(struct admit_book *b, uint32_t i)
{
    struct admit_book_entry *e = &b->entries[i];
    e->newer = MAP_EMPTY;
    e->older = b->newest;
    *(b->newest == MAP_EMPTY ? &b->oldest : &b->entries[b->newest].newer) = i;
    b->newest = i;
}

static void use_touch(struct admit_book *b, uint32_t i)
{
    use_unlink(b, i);
    use_link_newest(b, i);
}

/* An entry for a ticket that has none, in the place of the least recently used when full. */
static struct admit_book_entry *entry_add(struct admit_book *b, const struct admit_notice *n)
{
    uint8_t key[BOOK_KEY_LEN];
    uint32_t i = b->count;
    if (b->count == b->room && b->room < b->capacity) {
        uint8_t secret[16];
        memcpy(secret, b->index.secret, sizeof(secret));
        err_ignore(book_grow(b, secret), "without memory the oldest makes room");
    }
    if (b->count == b->room) {
        i = b->oldest;
        const struct admit_notice *old = &b->entries[i].notice;
        book_key(old->issuer_tag, old->claim.serial, key);
        map_remove(&b->index, key);
        use_unlink(b, i);
    } else {
        b->count++;
    }
    b->entries[i] = (struct admit_book_entry){.notice = *n};
    use_link_newest(b, i);
    book_key(n->issuer_tag, n->claim.serial, key);
    enum ipx_err err = map_set(&b->index, key, i);
    assert(err == IPX_OK); /* the map has room for `capacity` */
    return &b->entries[i];
}

enum ipx_err admit_book_find(struct admit_book *b, const struct admit_request *req,
                             struct admit_notice *ret)
{
    const struct admit_claim *claim = &req->claim;
    uint32_t i = index_of(b, req->issuer.subject.bytes, claim->serial);
    if (i == MAP_EMPTY) {
        return IPX_NOT_FOUND;
    }
    const struct admit_notice *known = &b->entries[i].notice;
    if (!known->is_proved && !admit_notice_check_proof(known, &b->mesh, &req->ticket.one_time)) {
        return IPX_NOT_FOUND; /* hearsay: admit_book_see of this admission replaces it */
    }
    use_touch(b, i);
    *ret = *known;
    if (!node_id_equal(&known->claim.id, &claim->id)) {
        return IPX_USED;
    }
    return strcmp(known->claim.name, claim->name) == 0 ? IPX_OK : IPX_CONFLICT;
}

static const struct book_loser *loser_find(const struct admit_book_entry *e,
                                           const struct node_id *id)
{
    for (unsigned i = 0; i < e->n_losers; i++) {
        if (node_id_equal(&e->losers[i].id, id)) {
            return &e->losers[i];
        }
    }
    return NULL;
}

static void loser_remove(struct admit_book_entry *e, const struct node_id *id)
{
    const struct book_loser *l = loser_find(e, id);
    if (l != NULL) {
        size_t i = (size_t)(l - e->losers);
        e->n_losers--;
        memmove(&e->losers[i], &e->losers[i + 1], (e->n_losers - i) * sizeof *l);
    }
}

static void loser_add(struct admit_book_entry *e, const struct node_id *id, bool is_dropped)
{
    if (e->n_losers == ADMIT_BOOK_LOSERS) {
        loser_remove(e, &e->losers[0].id);
    }
    e->losers[e->n_losers++] = (struct book_loser){.id = *id, .is_dropped = is_dropped};
}

/* Brings in the ticket's key: IPX_BAD_SIGNATURE if `n` is not by a holder of the ticket, IPX_OK if
 * the recorded admission turned out to be false and gave way to `n`, IPX_AGAIN if both stand. */
static enum ipx_err proofs_check(struct admit_book *b, struct admit_book_entry *e,
                                 struct admit_notice *n, const struct node_id *one_time)
{
    if (one_time != NULL && !e->has_one_time) {
        e->has_one_time = true;
        e->one_time = *one_time;
        e->notice.is_proved =
            e->notice.is_proved || admit_notice_check_proof(&e->notice, &b->mesh, one_time);
    }
    if (!e->has_one_time) {
        return IPX_AGAIN;
    }
    n->is_proved = n->is_proved || admit_notice_check_proof(n, &b->mesh, &e->one_time);
    if (e->notice.is_proved) {
        return n->is_proved ? IPX_AGAIN : IPX_BAD_SIGNATURE;
    }
    e->n_losers = 0;
    if (!n->is_proved) { /* neither stands: nothing is known but the key */
        return IPX_BAD_SIGNATURE;
    }
    e->notice = *n;
    return IPX_OK;
}

/* Does `n` take the place of what is recorded? What is proved stands before what is not. */
static bool is_before(const struct admit_notice *n, const struct admit_notice *known)
{
    if (n->is_proved != known->is_proved) {
        return n->is_proved;
    }
    return admit_notice_compare(n, known) < 0;
}

static enum ipx_err same_key_seen(struct admit_book_entry *e, const struct admit_notice *n,
                                  struct admit_seen *ret)
{
    bool is_same = admit_notice_compare(n, &e->notice) == 0;
    if (is_before(n, &e->notice)) {
        e->notice = *n;
        ret->is_new = !is_same; /* the same one, proved by now, is no news */
    }
    ret->winner = e->notice;
    return ret->is_new ? IPX_OK : IPX_EXISTS;
}

static enum ipx_err other_key_seen(struct admit_book_entry *e, const struct admit_notice *n,
                                   int64_t wall_ms, struct admit_seen *ret)
{
    ret->loser = *n;
    if (is_before(n, &e->notice)) {
        ret->loser = e->notice;
        e->notice = *n;
        loser_remove(e, &n->claim.id);
    }
    ret->winner = e->notice;
    const struct book_loser *known = loser_find(e, &ret->loser.claim.id);
    ret->is_new = known == NULL;
    ret->is_dropped =
        known != NULL ? known->is_dropped : ret->loser.admitted_ms > wall_ms - ADMIT_CONFLICT_MS;
    if (known == NULL) {
        loser_add(e, &ret->loser.claim.id, ret->is_dropped);
    }
    return IPX_CONFLICT;
}

enum ipx_err admit_book_see(struct admit_book *b, const struct admit_notice *notice,
                            const struct node_id *one_time, int64_t wall_ms, struct admit_seen *ret)
{
    struct admit_notice n = *notice;
    *ret = (struct admit_seen){.is_new = false};
    uint32_t i = index_of(b, n.issuer_tag, n.claim.serial);
    if (i == MAP_EMPTY) {
        if (one_time != NULL && !n.is_proved) {
            n.is_proved = admit_notice_check_proof(&n, &b->mesh, one_time);
            if (!n.is_proved) {
                return IPX_BAD_SIGNATURE;
            }
        }
        struct admit_book_entry *e = entry_add(b, &n);
        e->has_one_time = one_time != NULL;
        e->one_time = one_time != NULL ? *one_time : e->one_time;
        ret->winner = n;
        ret->is_new = true;
        return IPX_OK;
    }
    struct admit_book_entry *e = &b->entries[i];
    use_touch(b, i);
    enum ipx_err err = proofs_check(b, e, &n, one_time);
    if (err != IPX_AGAIN) {
        ret->winner = e->notice;
        ret->is_new = err == IPX_OK;
        return err;
    }
    return node_id_equal(&e->notice.claim.id, &n.claim.id) ? same_key_seen(e, &n, ret)
                                                           : other_key_seen(e, &n, wall_ms, ret);
}

uint32_t admit_book_count_since(const struct admit_book *b, const uint8_t *issuer_tag,
                                int64_t since_ms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct admit_notice *n = &b->entries[i].notice;
        bool is_its = memcmp(n->issuer_tag, issuer_tag, ADMIT_TAG_LEN) == 0;
        count += is_its && n->admitted_ms >= since_ms ? 1 : 0;
    }
    return count;
}

bool admit_book_is_dropped(const struct admit_book *b, const struct cert_facts *facts)
{
    uint32_t i = index_of(b, facts->birth_issuer.bytes, facts->birth_serial);
    if (i == MAP_EMPTY) {
        return false;
    }
    const struct book_loser *l = loser_find(&b->entries[i], &facts->id);
    return l != NULL && l->is_dropped;
}

static void entry_put(struct writer *w, const struct admit_book_entry *e)
{
    cbor_put_map(w, 3 + (e->has_one_time ? 1u : 0u));
    cbor_put_u64(w, SAVED_NOTICE);
    admit_notice_body_put(w, &e->notice);
    cbor_put_u64(w, SAVED_IS_PROVED);
    cbor_put_bool(w, e->notice.is_proved);
    if (e->has_one_time) {
        cbor_put_u64(w, SAVED_ONE_TIME);
        cbor_put_bytes(w, slice_of(e->one_time.bytes, 32));
    }
    cbor_put_u64(w, SAVED_LOSERS);
    cbor_put_array(w, e->n_losers);
    for (unsigned i = 0; i < e->n_losers; i++) {
        cbor_put_array(w, 2);
        cbor_put_bytes(w, slice_of(e->losers[i].id.bytes, 32));
        cbor_put_bool(w, e->losers[i].is_dropped);
    }
}

void admit_book_save(const struct admit_book *b, struct writer *w)
{
    cbor_put_array(w, b->count);
    for (uint32_t i = b->oldest; i != MAP_EMPTY; i = b->entries[i].newer) {
        entry_put(w, &b->entries[i]);
    }
}

static void losers_get(struct cbor_reader *r, struct admit_book_entry *e)
{
    uint64_t n = cbor_array_begin(r, ADMIT_BOOK_LOSERS);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        struct node_id id;
        if (cbor_array_begin(r, 2) != 2) {
            r->failed = true;
            return;
        }
        cbor_bytes_fixed(r, id.bytes, sizeof id.bytes);
        loser_add(e, &id, cbor_bool(r));
        cbor_array_end(r);
    }
    cbor_array_end(r);
}

static enum ipx_err entry_get(struct slice in, struct admit_book_entry *ret)
{
    struct admit_book_entry e = {.n_losers = 0};
    struct slice notice = SLICE_EMPTY;
    bool is_proved = false;
    struct cbor_reader r = cbor_reader_of(in);
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        switch (key) {
        case SAVED_NOTICE:
            notice = cbor_raw(&r);
            break;
        case SAVED_IS_PROVED:
            is_proved = cbor_bool(&r);
            break;
        case SAVED_ONE_TIME:
            cbor_bytes_fixed(&r, e.one_time.bytes, 32);
            e.has_one_time = true;
            break;
        case SAVED_LOSERS:
            losers_get(&r, &e);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r) || admit_notice_body_decode(notice, &e.notice) != IPX_OK) {
        return IPX_MALFORMED;
    }
    e.notice.is_proved = is_proved;
    *ret = e;
    return IPX_OK;
}

enum ipx_err admit_book_load(struct admit_book *b, struct slice in)
{
    struct cbor_reader r = cbor_reader_of(in);
    uint64_t n = cbor_array_begin(&r, ADMIT_BOOK_MAX);
    for (uint64_t k = 0; k < n && !r.failed; k++) {
        struct admit_book_entry read;
        struct slice item = cbor_raw(&r);
        if (r.failed || entry_get(item, &read) != IPX_OK) {
            return IPX_MALFORMED;
        }
        if (index_of(b, read.notice.issuer_tag, read.notice.claim.serial) != MAP_EMPTY) {
            continue; /* what is known by now is newer than the file */
        }
        struct admit_book_entry *e = entry_add(b, &read.notice);
        read.newer = e->newer;
        read.older = e->older;
        *e = read;
    }
    cbor_array_end(&r);
    return cbor_done(&r) ? IPX_OK : IPX_MALFORMED;
}

void admit_book_check(const struct admit_book *b)
{
    uint32_t n = 0, before = MAP_EMPTY;
    assert(b->count <= b->room && b->room <= b->capacity && b->index.count == b->count);
    for (uint32_t i = b->newest; i != MAP_EMPTY; i = b->entries[i].older) {
        const struct admit_book_entry *e = &b->entries[i];
        assert(i < b->count && n < b->count && e->newer == before);
        assert(index_of(b, e->notice.issuer_tag, e->notice.claim.serial) == i);
        assert(e->n_losers <= ADMIT_BOOK_LOSERS);
        before = i;
        n++;
    }
    assert(n == b->count && b->oldest == before);
}

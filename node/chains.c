/* SPDX-License-Identifier: Apache-2.0 */
#include "node/chains.h"

enum ipx_err chains_init(struct chains *c, struct mem *mem, const struct mesh_id *mesh,
                         uint32_t max, const uint8_t secret[static 16])
{
    *c = (struct chains){.mem = mem, .mesh = *mesh};
    list_init(&c->lru);
    revoked_init(&c->revoked, mem);
    enum ipx_err err = index_init(&c->by_hash, mem, max, sizeof(struct hash),
                                  offsetof(struct chain, facts.chain_hash), secret);
    if (err != IPX_OK) {
        return err;
    }
    err = index_init(&c->by_id, mem, max, sizeof(struct node_id), offsetof(struct chain, facts.id),
                     secret);
    if (err != IPX_OK) {
        index_done(&c->by_hash);
    }
    return err;
}

static void entry_free(struct chains *c, struct chain *e)
{
    list_unlink(&e->lru);
    index_remove(&c->by_hash, e);
    index_remove(&c->by_id, e);
    mem_free(c->mem, e->bytes);
    mem_free(c->mem, e);
}

void chains_done(struct chains *c)
{
    if (c->by_hash.items == NULL) {
        return;
    }
    struct chain *e;
    while ((e = LIST_FIRST(&c->lru, struct chain, lru)) != NULL) {
        entry_free(c, e);
    }
    index_done(&c->by_hash);
    index_done(&c->by_id);
    revoked_done(&c->revoked);
}

static const struct chain *touch(struct chains *c, struct chain *e)
{
    if (e != NULL) {
        list_unlink(&e->lru);
        list_push_front(&c->lru, &e->lru);
    }
    return e;
}

const struct chain *chains_find(struct chains *c, const struct hash *hash)
{
    return touch(c, index_find(&c->by_hash, hash));
}

const struct chain *chains_find_id(struct chains *c, const struct node_id *id)
{
    return touch(c, index_find(&c->by_id, id));
}

void chains_forget(struct chains *c, const struct node_id *id)
{
    struct chain *e = index_find(&c->by_id, id);
    if (e != NULL) {
        entry_free(c, e);
    }
}

static enum ipx_err verify(struct chains *c, int64_t wall_ms, struct slice chain,
                           struct slice admitter, const struct node_id *subject,
                           struct cert_facts *ret)
{
    struct cert_check check = {
        .mesh = &c->mesh, .wall_ms = wall_ms, .subject = subject, .admitter_chain = admitter};
    struct hash missing;
    enum ipx_err err = cert_chain_verify_with(chain, &check, ret, &missing);
    if (err == IPX_NEED_CHAIN && admitter.len == 0) {
        const struct chain *held = chains_find(c, &missing);
        if (held != NULL) {
            check.admitter_chain = slice_of(held->bytes, held->len);
            err = cert_chain_verify_with(chain, &check, ret, &missing);
        }
    }
    return err;
}

static enum ipx_err entry_new(struct chains *c, const struct cert_facts *facts, struct slice chain,
                              struct chain **ret)
{
    chains_forget(c, &facts->id);
    if (c->by_id.n == c->by_id.max) {
        entry_free(c, CONTAINER_OF(c->lru.prev, struct chain, lru));
    }
    struct chain *e = mem_alloc(c->mem, sizeof(*e));
    uint8_t *bytes = mem_dup(c->mem, chain.data, chain.len);
    if (e == NULL || bytes == NULL) {
        mem_free(c->mem, e);
        mem_free(c->mem, bytes);
        return IPX_NO_MEMORY;
    }
    e->facts = *facts;
    e->bytes = bytes;
    e->len = chain.len;
    enum ipx_err err = index_add(&c->by_hash, e);
    if (err == IPX_OK) {
        err = index_add(&c->by_id, e);
        if (err != IPX_OK) {
            index_remove(&c->by_hash, e);
        }
    }
    if (err != IPX_OK) {
        mem_free(c->mem, e->bytes);
        mem_free(c->mem, e);
        return err;
    }
    list_push_front(&c->lru, &e->lru);
    *ret = e;
    return IPX_OK;
}

enum ipx_err chains_put(struct chains *c, int64_t wall_ms, struct slice chain,
                        struct slice admitter, const struct node_id *subject,
                        const struct chain **ret)
{
    struct cert_facts facts;
    enum ipx_err err = verify(c, wall_ms, chain, admitter, subject, &facts);
    if (err != IPX_OK) {
        return err;
    }
    if (chains_is_revoked(c, &facts)) {
        return IPX_REVOKED;
    }
    const struct chain *held = chains_find(c, &facts.chain_hash);
    if (held != NULL) {
        *ret = held;
        return IPX_OK;
    }
    struct chain *e;
    err = entry_new(c, &facts, chain, &e);
    if (err == IPX_OK) {
        *ret = e;
    }
    return err;
}

enum ipx_err chains_named(struct chains *c, int64_t wall_ms, const struct hash *hash,
                          const struct node_id *subject, const struct chain **ret)
{
    const struct chain *e = chains_find(c, hash);
    if (e == NULL) {
        return IPX_NEED_CHAIN;
    }
    if (!node_id_equal(&e->facts.id, subject)) {
        return IPX_CONFLICT;
    }
    if (chains_is_revoked(c, &e->facts)) {
        return IPX_REVOKED;
    }
    if (cert_time_check(e->facts.not_before_ms, e->facts.not_after_ms, wall_ms) != IPX_OK) {
        return IPX_NEED_CHAIN; /* it may have been renewed since */
    }
    *ret = e;
    return IPX_OK;
}

enum ipx_err chains_revoke(struct chains *c, const struct revoke *r, struct slice bytes,
                           int64_t wall_ms)
{
    struct chain *e;
    struct list *tmp;
    enum ipx_err err = revoked_add(&c->revoked, r, bytes, wall_ms);
    if (err != IPX_OK) {
        return err;
    }
    LIST_EACH(e, tmp, &c->lru, struct chain, lru)
    {
        if (revoke_strikes(r, &e->facts)) {
            entry_free(c, e);
        }
    }
    return IPX_OK;
}

bool chains_is_revoked(const struct chains *c, const struct cert_facts *facts)
{
    return revoked_find(&c->revoked, facts) != NULL;
}

void chains_check(const struct chains *c)
{
    uint32_t n = 0;
    struct chain *e;
    struct list *tmp;
    LIST_EACH(e, tmp, &c->lru, struct chain, lru)
    {
        assert(index_find(&c->by_hash, &e->facts.chain_hash) == e);
        assert(index_find(&c->by_id, &e->facts.id) == e);
        assert(!chains_is_revoked(c, &e->facts));
        n++;
    }
    revoked_check(&c->revoked);
    assert(n == c->by_hash.n && n == c->by_id.n && n <= c->by_id.max);
}

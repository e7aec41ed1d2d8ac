/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/access.h"

#include <sys/mman.h>

#include "keyd/process/sealed.h"
#include "proto/base/mem.h"
#include "proto/base/wr.h"

#define MAGIC UINT64_C(0x4b45594441434331) /* "KEYDACC1" */
#define WHAT  "the table of grants and tokens"
#define HEAD  24

void access_free(struct access *a)
{
    mem_free(a->grants);
    mem_free(a->tokens);
    *a = (struct access){0};
}

/* ---- writing: an entry never takes more bytes than its struct and a few lengths */

static void grant_write(struct wr *w, const struct access_grant *g)
{
    wr_u64(w, g->id);
    wr_text(w, g->principal);
    wr_text(w, g->group);
    wr_text(w, g->tenant);
    wr_bytes(w, g->key, sizeof(g->key));
    wr_u32(w, g->purposes);
}

static void token_write(struct wr *w, const struct access_token *t)
{
    wr_bytes(w, t->hash, sizeof(t->hash));
    wr_text(w, t->name);
    wr_u32(w, t->role);
    wr_text(w, t->tenant);
    wr_u64(w, t->expires);
}

bool access_to_fd(const struct access *a, int *ret_fd, struct err *err)
{
    size_t cap = HEAD + a->grant_count * sizeof(*a->grants) + a->token_count * sizeof(*a->tokens);
    AUTO_FREE uint8_t *bytes = mem_new(cap);

    if (!bytes)
        return err_set(err, ERR_INTERNAL, "no memory for %s", WHAT);
    struct wr w = wr_of(bytes, cap);
    wr_u64(&w, MAGIC);
    wr_u64(&w, a->version);
    wr_u32(&w, (uint32_t)a->grant_count);
    wr_u32(&w, (uint32_t)a->token_count);
    for (size_t i = 0; i < a->grant_count; i++)
        grant_write(&w, &a->grants[i]);
    for (size_t i = 0; i < a->token_count; i++)
        token_write(&w, &a->tokens[i]);
    if (!wr_ok(&w))
        return err_set(err, ERR_INTERNAL, "%s outgrew its buffer", WHAT);
    return sealed_make(WHAT, bytes, w.len, ret_fd, err);
}

/* ---- reading */

static void grant_read(struct rd *r, struct access_grant *g)
{
    g->id = rd_u64(r);
    rd_text(r, g->principal, sizeof(g->principal));
    rd_text(r, g->group, sizeof(g->group));
    rd_text(r, g->tenant, sizeof(g->tenant));
    rd_copy(r, g->key, sizeof(g->key));
    g->purposes = rd_u32(r);
}

static void token_read(struct rd *r, struct access_token *t)
{
    rd_copy(r, t->hash, sizeof(t->hash));
    rd_text(r, t->name, sizeof(t->name));
    t->role = rd_u32(r);
    rd_text(r, t->tenant, sizeof(t->tenant));
    t->expires = rd_u64(r);
}

static bool read_all(struct access *a, struct rd *r)
{
    uint64_t magic = rd_u64(r);

    a->version = rd_u64(r);
    size_t grants = rd_u32(r), tokens = rd_u32(r);
    if (magic != MAGIC || grants > rd_left(r) || tokens > rd_left(r))
        return false;
    a->grants = mem_array(grants + 1, sizeof(*a->grants));
    a->tokens = mem_array(tokens + 1, sizeof(*a->tokens));
    if (!a->grants || !a->tokens)
        return false;
    for (; a->grant_count < grants && !r->failed; a->grant_count++)
        grant_read(r, &a->grants[a->grant_count]);
    for (; a->token_count < tokens && !r->failed; a->token_count++)
        token_read(r, &a->tokens[a->token_count]);
    return rd_end(r);
}

bool access_from_fd(struct access *ret, int fd, struct err *err)
{
    struct access a = {0};
    const uint8_t *p;
    size_t len;

    TRY(sealed_map(WHAT, fd, &p, &len, err));
    struct rd r = rd_of(p, len);
    bool ok = read_all(&a, &r);
    munmap((void *)p, len);
    if (!ok) {
        access_free(&a);
        return err_set(err, ERR_INTERNAL, "%s is damaged, or there is no memory for it", WHAT);
    }
    *ret = a;
    return true;
}

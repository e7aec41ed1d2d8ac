/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

#define SELECT                                                                                     \
    "SELECT hash, id, name, role, COALESCE(tenant, ''), created, expires, last_used FROM tokens "

static bool read_row(struct db_query *q, struct registry_token *ret, struct err *err)
{
    *ret = (struct registry_token){.role = 0};
    size_t len = db_get_bytes(q, ret->hash, sizeof(ret->hash));
    db_get_text(q, ret->id, sizeof(ret->id));
    db_get_text(q, ret->name, sizeof(ret->name));
    ret->role = (uint32_t)db_get_int(q);
    db_get_text(q, ret->tenant, sizeof(ret->tenant));
    ret->created = (uint64_t)db_get_int(q);
    ret->expires = (uint64_t)db_get_int(q);
    ret->last_used = (uint64_t)db_get_int(q);
    TRY(db_row_ok(q, err));
    return len == sizeof(ret->hash) ||
           err_set(err, ERR_STORAGE, "registry: the row of token %s is damaged", ret->id);
}

bool registry_token_add(struct registry *r, struct registry_token *token, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    struct registry_tenant tenant;
    char hex[2 * API_TOKEN_HASH_LEN + 1];
    bool row;

    if (*token->tenant)
        TRY(registry_tenant_find(r, token->tenant, &tenant, err));
    token->created = registry_now();
    token->last_used = 0;
    memcpy(token->id, hex_encode(token->hash, sizeof(token->hash), hex), API_TOKEN_ID_LEN);
    token->id[API_TOKEN_ID_LEN] = '\0';
    TRY(db_query(r->db,
                 "INSERT INTO tokens (hash, id, name, role, tenant, created, expires, last_used) "
                 "VALUES ($1, $2, $3, $4, NULLIF($5, ''), $6, $7, 0)",
                 &q, err));
    db_put_bytes(q, token->hash, sizeof(token->hash));
    db_put_text(q, token->id);
    db_put_text(q, token->name);
    db_put_int(q, token->role);
    db_put_text(q, token->tenant);
    db_put_int(q, (int64_t)token->created);
    db_put_int(q, (int64_t)token->expires);
    return db_step(q, &row, err);
}

static bool find(struct registry *r, const char *id, const char *within, struct registry_token *ret,
                 struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db, SELECT "WHERE id = $1 AND ($2 = '' OR tenant = $2)", &q, err));
    db_put_text(q, id);
    db_put_text(q, within);
    TRY(db_step(q, &row, err));
    if (row)
        return read_row(q, ret, err);
    err_set(err, ERR_NOT_FOUND, "there is no token %.20s", id);
    return err_hint(err, "keydctl tokens-list");
}

bool registry_token_remove(struct registry *r, const char *id, const char *within,
                           struct registry_token *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(find(r, id, within, ret, err));
    TRY(db_query(r->db, "DELETE FROM tokens WHERE id = $1", &q, err));
    db_put_text(q, id);
    return db_step(q, &row, err);
}

bool registry_token_used(struct registry *r, const uint8_t hash[API_TOKEN_HASH_LEN],
                         struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "UPDATE tokens SET last_used = $1 WHERE hash = $2", &q, err));
    db_put_int(q, (int64_t)registry_now());
    db_put_bytes(q, hash, API_TOKEN_HASH_LEN);
    return db_step(q, &row, err);
}

bool registry_token_list(struct registry *r, struct registry_token **ret, size_t *ret_count,
                         struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    AUTO_FREE struct registry_token *list = mem_array(1, sizeof(*list));
    size_t count = 0, room = 1;
    bool row = false;

    TRY(db_query(r->db, SELECT "ORDER BY id", &q, err));
    TRY(db_step(q, &row, err));
    while (row) {
        struct registry_token *grown =
            count < room ? list : mem_resize(list, room *= 2, sizeof(*list));
        if (!grown)
            return err_set(err, ERR_INTERNAL, "no memory for the registry's tokens");
        list = grown;
        TRY(read_row(q, &list[count++], err));
        TRY(db_step(q, &row, err));
    }
    *ret = TAKE(list);
    *ret_count = count;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * An intent is durable before the token is touched, and goes in the same transaction that writes
 * what it was for: whatever is cut short leaves either an intent, whose object can be found by its
 * CKA_ID, or a whole key.
 */
#include <string.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

static bool name_is_free(struct registry *r, const char *tenant, const char *name, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool taken = false;

    TRY(db_query(r->db, "SELECT 1 FROM keys WHERE tenant = $1 AND name = $2", &q, err));
    db_put_text(q, tenant);
    db_put_text(q, name);
    TRY(db_step(q, &taken, err));
    if (!taken)
        return true;
    err_set(err, ERR_EXISTS, "the key %s/%s is there already", tenant, name);
    return err_hint(err, "choose another name; keydctl keys-show %s/%s shows it", tenant, name);
}

static bool insert_intent(struct registry *r, const struct registry_intent *intent, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db,
                 "INSERT INTO intents (id, verb, tenant, name, type, purposes, cka_id, created) "
                 "VALUES ($1, $2, NULLIF($3, ''), NULLIF($4, ''), $5, $6, $7, $8)",
                 &q, err));
    db_put_bytes(q, intent->id, sizeof(intent->id));
    db_put_text(q, intent->verb);
    db_put_text(q, intent->tenant);
    db_put_text(q, intent->name);
    db_put_int(q, intent->type);
    db_put_int(q, intent->purposes);
    db_put_bytes(q, intent->cka_id, intent->cka_id_len);
    db_put_int(q, (int64_t)intent->created);
    return db_step(q, &row, err);
}

bool registry_name_is_free(struct registry *r, const char *tenant, const char *name,
                           struct err *err)
{
    struct registry_tenant row;

    TRY(registry_tenant_find(r, tenant, &row, err));
    TRY(name_check(name, "key", err));
    return name_is_free(r, tenant, name, err);
}

bool registry_intent_add(struct registry *r, struct registry_intent *intent, struct err *err)
{
    if (*intent->tenant)
        TRY(registry_name_is_free(r, intent->tenant, intent->name, err));
    intent->created = registry_now();
    if (insert_intent(r, intent, err))
        return true;
    if (err->code == ERR_EXISTS)
        err_set(err, ERR_EXISTS, "a key %s/%s is being made, or its making was cut short",
                intent->tenant, intent->name);
    return false;
}

bool intent_delete(struct registry *r, const uint8_t id[INTENT_ID_LEN], struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "DELETE FROM intents WHERE id = $1", &q, err));
    db_put_bytes(q, id, INTENT_ID_LEN);
    TRY(db_step(q, &row, err));
    return db_changed(q) == 1 || err_set(err, ERR_NOT_FOUND, "there is no such intent");
}

bool registry_intent_drop(struct registry *r, const uint8_t id[INTENT_ID_LEN], struct err *err)
{
    return intent_delete(r, id, err);
}

bool key_insert(struct registry *r, const struct registry_key *key, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(
        r->db,
        "INSERT INTO keys (id, tenant, name, type, purposes, cka_id, spki, state, created, "
        "allowed_names) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &q, err));
    db_put_bytes(q, key->id, sizeof(key->id));
    db_put_text(q, key->tenant);
    db_put_text(q, key->name);
    db_put_int(q, key->type);
    db_put_int(q, key->purposes);
    db_put_bytes(q, key->cka_id, key->cka_id_len);
    db_put_bytes(q, key->spki, key->spki_len);
    db_put_int(q, key->state);
    db_put_int(q, (int64_t)key->created);
    db_put_text(q, key->allowed_names);
    if (!db_step(q, &row, err))
        return err->code == ERR_EXISTS
                   ? err_set(err, ERR_EXISTS, "the key %s/%s, or its public key, is there already",
                             key->tenant, key->name)
                   : false;
    return true;
}

bool registry_intent_commit(struct registry *r, const uint8_t id[INTENT_ID_LEN],
                            struct registry_key *key, struct err *err)
{
    key->created = registry_now();
    TRY(db_begin(r->db, err));
    if (key_insert(r, key, err) && intent_delete(r, id, err))
        return db_commit(r->db, err);
    db_rollback(r->db);
    return false;
}

static bool read_row(struct db_query *q, struct registry_intent *ret, struct err *err)
{
    size_t id_len = db_get_bytes(q, ret->id, sizeof(ret->id));

    db_get_text(q, ret->verb, sizeof(ret->verb));
    db_get_text(q, ret->tenant, sizeof(ret->tenant));
    db_get_text(q, ret->name, sizeof(ret->name));
    ret->type = (enum key_type)db_get_int(q);
    ret->purposes = (uint32_t)db_get_int(q);
    ret->cka_id_len = db_get_bytes(q, ret->cka_id, sizeof(ret->cka_id));
    ret->created = (uint64_t)db_get_int(q);
    TRY(db_row_ok(q, err));
    if (id_len != INTENT_ID_LEN || ret->cka_id_len == 0)
        return err_set(err, ERR_STORAGE, "registry: the row of an intent for %s/%s is damaged",
                       ret->tenant, ret->name);
    return true;
}

bool registry_intent_list(struct registry *r, struct registry_intent **ret, size_t *ret_count,
                          struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    AUTO_FREE struct registry_intent *list = mem_array(1, sizeof(*list));
    size_t count = 0;
    bool row = false;

    TRY(db_query(r->db,
                 "SELECT id, verb, COALESCE(tenant, ''), COALESCE(name, ''), type, purposes, "
                 "cka_id, created FROM intents "
                 "ORDER BY created, id",
                 &q, err));
    TRY(db_step(q, &row, err));
    while (row) {
        struct registry_intent *grown = mem_resize(list, count + 1, sizeof(*list));
        if (!grown)
            return err_set(err, ERR_INTERNAL, "no memory for the registry's intents");
        list = grown;
        TRY(read_row(q, &list[count++], err));
        TRY(db_step(q, &row, err));
    }
    *ret = TAKE(list);
    *ret_count = count;
    return true;
}

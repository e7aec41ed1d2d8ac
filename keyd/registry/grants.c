/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

#define SELECT                                                                                     \
    "SELECT grants.id, grants.principal, grants.of_group, "                                        \
    "COALESCE(keys.tenant, grants.tenant), COALESCE(keys.name, ''), COALESCE(grants.key, x''), "   \
    "grants.purposes, grants.created "                                                             \
    "FROM grants LEFT JOIN keys ON keys.id = grants.key "

static bool read_row(struct db_query *q, struct registry_grant *ret, struct err *err)
{
    *ret = (struct registry_grant){.id = (uint64_t)db_get_int(q)};
    db_get_text(q, ret->principal, sizeof(ret->principal));
    db_get_text(q, ret->group, sizeof(ret->group));
    db_get_text(q, ret->tenant, sizeof(ret->tenant));
    db_get_text(q, ret->key_name, sizeof(ret->key_name));
    size_t key_len = db_get_bytes(q, ret->key, sizeof(ret->key));
    ret->purposes = (uint32_t)db_get_int(q);
    ret->created = (uint64_t)db_get_int(q);
    TRY(db_row_ok(q, err));
    if ((key_len == KEY_ID_LEN) != (*ret->key_name != '\0') ||
        (*ret->principal == '\0') == (*ret->group == '\0'))
        return err_set(err, ERR_STORAGE, "registry: the row of grant %llu is damaged",
                       (unsigned long long)ret->id);
    return true;
}

/* ---- adding */

/* The key's id, or nothing: NULL is what an empty value becomes. */
static void put_object(struct db_query *q, const struct registry_grant *g)
{
    db_put_bytes(q, g->key, *g->key_name ? sizeof(g->key) : 0);
    db_put_text(q, *g->key_name ? "" : g->tenant);
}

/* Gives the grant that is there other purposes; *ret_done is false when there is none. */
static bool replace(struct registry *r, const struct registry_grant *g, bool *ret_done,
                    struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db,
                 "UPDATE grants SET purposes = $1 WHERE principal = $2 AND of_group = $3 "
                 "AND COALESCE(key, x'') = $4 AND COALESCE(tenant, '') = $5",
                 &q, err));
    db_put_int(q, g->purposes);
    db_put_text(q, g->principal);
    db_put_text(q, g->group);
    put_object(q, g);
    TRY(db_step(q, &row, err));
    *ret_done = db_changed(q) > 0;
    return true;
}

static bool next_id(struct registry *r, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "UPDATE counters SET last = last + 1 WHERE name = 'grants'", &q, err));
    return db_step(q, &row, err);
}

static bool insert(struct registry *r, const struct registry_grant *g, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(next_id(r, err));
    TRY(db_query(r->db,
                 "INSERT INTO grants (principal, of_group, key, tenant, purposes, created, id) "
                 "SELECT $1, $2, NULLIF($3, x''), NULLIF($4, ''), $5, $6, last FROM counters "
                 "WHERE name = 'grants'",
                 &q, err));
    db_put_text(q, g->principal);
    db_put_text(q, g->group);
    put_object(q, g);
    db_put_int(q, g->purposes);
    db_put_int(q, (int64_t)registry_now());
    return db_step(q, &row, err);
}

static bool find(struct registry *r, const struct registry_grant *g, struct registry_grant *ret,
                 struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db,
                 SELECT "WHERE grants.principal = $1 AND grants.of_group = $2 "
                        "AND COALESCE(grants.key, x'') = $3 AND COALESCE(grants.tenant, '') = $4",
                 &q, err));
    db_put_text(q, g->principal);
    db_put_text(q, g->group);
    put_object(q, g);
    TRY(db_step(q, &row, err));
    return row ? read_row(q, ret, err)
               : err_set(err, ERR_STORAGE, "registry: a grant that was just made is not there");
}

static bool add(struct registry *r, struct registry_grant *grant, struct err *err)
{
    struct registry_tenant tenant;
    struct registry_grant made;
    bool done = false;

    TRY(registry_tenant_find(r, grant->tenant, &tenant, err));
    TRY(replace(r, grant, &done, err));
    if (!done)
        TRY(insert(r, grant, err));
    TRY(find(r, grant, &made, err));
    *grant = made;
    return true;
}

bool registry_grant_add(struct registry *r, struct registry_grant *grant, struct err *err)
{
    TRY(db_begin(r->db, err));
    if (add(r, grant, err))
        return db_commit(r->db, err);
    db_rollback(r->db);
    return false;
}

/* ---- taking away, listing */

static bool find_by_id(struct registry *r, uint64_t id, struct registry_grant *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db, SELECT "WHERE grants.id = $1", &q, err));
    db_put_int(q, (int64_t)id);
    TRY(db_step(q, &row, err));
    if (row)
        return read_row(q, ret, err);
    err_set(err, ERR_NOT_FOUND, "there is no grant %llu", (unsigned long long)id);
    return err_hint(err, "keydctl grants-list");
}

bool registry_grant_remove(struct registry *r, uint64_t id, struct registry_grant *ret,
                           struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(find_by_id(r, id, ret, err));
    TRY(db_query(r->db, "DELETE FROM grants WHERE id = $1", &q, err));
    db_put_int(q, (int64_t)id);
    return db_step(q, &row, err);
}

bool registry_grant_list(struct registry *r, struct registry_grant **ret, size_t *ret_count,
                         struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    AUTO_FREE struct registry_grant *list = mem_array(1, sizeof(*list));
    size_t count = 0, room = 1;
    bool row = false;

    TRY(db_query(r->db, SELECT "ORDER BY grants.id", &q, err));
    TRY(db_step(q, &row, err));
    while (row) {
        struct registry_grant *grown =
            count < room ? list : mem_resize(list, room *= 2, sizeof(*list));
        if (!grown)
            return err_set(err, ERR_INTERNAL, "no memory for the registry's grants");
        list = grown;
        TRY(read_row(q, &list[count++], err));
        TRY(db_step(q, &row, err));
    }
    *ret = TAKE(list);
    *ret_count = count;
    return true;
}

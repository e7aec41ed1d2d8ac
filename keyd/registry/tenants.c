/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

#define COLUMNS                                                                                    \
    "tenants.name, tenants.created, (SELECT count(*) FROM keys WHERE keys.tenant = tenants.name)"

static bool read_row(struct db_query *q, struct registry_tenant *ret, struct err *err)
{
    struct registry_tenant row = {.keys = 0};

    db_get_text(q, row.name, sizeof(row.name));
    row.created = (uint64_t)db_get_int(q);
    row.keys = (uint32_t)db_get_int(q);
    TRY(db_row_ok(q, err));
    *ret = row;
    return true;
}

bool registry_tenant_add(struct registry *r, const char *name, struct registry_tenant *ret,
                         struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    struct registry_tenant tenant = {.created = registry_now()};
    bool row;

    TRY(name_check(name, "tenant", err));
    memcpy(tenant.name, name, strlen(name) + 1);
    TRY(db_query(r->db, "INSERT INTO tenants (name, created) VALUES ($1, $2)", &q, err));
    db_put_text(q, tenant.name);
    db_put_int(q, (int64_t)tenant.created);
    if (!db_step(q, &row, err))
        return err->code == ERR_EXISTS
                   ? err_set(err, ERR_EXISTS, "the tenant %s is there already", name)
                   : false;
    *ret = tenant;
    return true;
}

bool registry_tenant_unknown(const char *name, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "there is no tenant %s", name);
    return err_hint(err, "keydctl tenants-list; an operator makes one: keydctl tenants-add %s",
                    name);
}

bool registry_tenant_find(struct registry *r, const char *name, struct registry_tenant *ret,
                          struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(name_check(name, "tenant", err));
    TRY(db_query(r->db, "SELECT " COLUMNS " FROM tenants WHERE name = $1", &q, err));
    db_put_text(q, name);
    TRY(db_step(q, &row, err));
    if (!row)
        return registry_tenant_unknown(name, err);
    return read_row(q, ret, err);
}

bool registry_tenant_list(struct registry *r, const char *after, struct registry_tenant *rows,
                          size_t max, size_t *ret_count, bool *ret_more, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    size_t count = 0;
    bool row = false;

    TRY(db_query(r->db, "SELECT " COLUMNS " FROM tenants WHERE name > $1 ORDER BY name LIMIT $2",
                 &q, err));
    db_put_text(q, after);
    db_put_int(q, (int64_t)max + 1);
    TRY(db_step(q, &row, err));
    while (row && count < max) {
        TRY(read_row(q, &rows[count++], err));
        TRY(db_step(q, &row, err));
    }
    *ret_count = count;
    *ret_more = row;
    return true;
}

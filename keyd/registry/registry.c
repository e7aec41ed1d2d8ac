/* SPDX-License-Identifier: Apache-2.0
 *
 * The schema grows by versions: version n is what migrations[0] to [n - 1] have made of an empty
 * database, each in a transaction of its own. A migration that was released is never changed.
 */
#include "keyd/registry/registry.h"

#include <time.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

static const char *const migrations[] = {
    /* 1: tenants, keys, intents */
    "CREATE TABLE tenants ("
    "  name TEXT NOT NULL PRIMARY KEY,"
    "  created BIGINT NOT NULL);"
    "CREATE TABLE keys ("
    "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),"
    "  tenant TEXT NOT NULL REFERENCES tenants (name),"
    "  name TEXT NOT NULL,"
    "  type INTEGER NOT NULL,"
    "  purposes INTEGER NOT NULL,"
    "  cka_id BLOB NOT NULL UNIQUE,"
    "  spki BLOB NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  created BIGINT NOT NULL,"
    "  UNIQUE (tenant, name));"
    "CREATE TABLE intents ("
    "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),"
    "  verb TEXT NOT NULL,"
    "  tenant TEXT NOT NULL REFERENCES tenants (name),"
    "  name TEXT NOT NULL,"
    "  type INTEGER NOT NULL,"
    "  purposes INTEGER NOT NULL,"
    "  cka_id BLOB NOT NULL UNIQUE,"
    "  created BIGINT NOT NULL,"
    "  UNIQUE (tenant, name));",
    /* 2: what uses a key, and so keeps it from being destroyed: nothing yet */
    "CREATE VIEW key_uses (key, kind, what) AS SELECT id, '', '' FROM keys WHERE 0;",
    /* 3: import; an intent may be no tenant's */
    "CREATE TABLE import_keys ("
    "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),"
    "  cka_id BLOB NOT NULL UNIQUE,"
    "  spki BLOB NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  created BIGINT NOT NULL);"
    "CREATE TABLE import_nonces ("
    "  nonce BLOB NOT NULL PRIMARY KEY CHECK (length(nonce) = 32),"
    "  import_key BLOB NOT NULL REFERENCES import_keys (id),"
    "  principal TEXT NOT NULL,"
    "  created BIGINT NOT NULL);"
    "CREATE TABLE import_failures ("
    "  principal TEXT NOT NULL PRIMARY KEY,"
    "  level_ms BIGINT NOT NULL);"
    "CREATE TABLE intents_3 ("
    "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),"
    "  verb TEXT NOT NULL,"
    "  tenant TEXT REFERENCES tenants (name),"
    "  name TEXT,"
    "  type INTEGER NOT NULL,"
    "  purposes INTEGER NOT NULL,"
    "  cka_id BLOB NOT NULL UNIQUE,"
    "  created BIGINT NOT NULL,"
    "  UNIQUE (tenant, name));"
    "INSERT INTO intents_3 (id, verb, tenant, name, type, purposes, cka_id, created)"
    "  SELECT id, verb, tenant, name, type, purposes, cka_id, created FROM intents;"
    "DROP TABLE intents;"
    "ALTER TABLE intents_3 RENAME TO intents;",
    /* 4: keys that the token had before keyd knew them, and how they were then */
    "CREATE TABLE adoptions ("
    "  key BLOB NOT NULL PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,"
    "  seen TEXT NOT NULL);",
    /* 5: grants, which use their keys, and API tokens */
    "CREATE TABLE grants ("
    "  id BIGINT NOT NULL PRIMARY KEY,"
    "  principal TEXT NOT NULL,"
    "  of_group TEXT NOT NULL,"
    "  key BLOB REFERENCES keys (id),"
    "  tenant TEXT REFERENCES tenants (name),"
    "  purposes INTEGER NOT NULL,"
    "  created BIGINT NOT NULL,"
    "  CHECK ((principal = '') <> (of_group = '')),"
    "  CHECK ((key IS NULL) <> (tenant IS NULL)));"
    "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, last BIGINT NOT NULL);"
    "INSERT INTO counters (name, last) VALUES ('grants', 0);"
    "DROP VIEW key_uses;"
    "CREATE VIEW key_uses (key, kind, what) AS"
    "  SELECT key, 'grant', CAST(id AS TEXT) || ' of ' || principal || of_group FROM grants"
    "  WHERE key IS NOT NULL;"
    "CREATE TABLE tokens ("
    "  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  role INTEGER NOT NULL,"
    "  tenant TEXT REFERENCES tenants (name),"
    "  created BIGINT NOT NULL,"
    "  expires BIGINT NOT NULL,"
    "  last_used BIGINT NOT NULL);",
    /* 6: the DNS names that a key may ask certificates for, with blanks between; empty: any */
    "ALTER TABLE keys ADD COLUMN allowed_names TEXT NOT NULL DEFAULT '';",
};

#define VERSION ((int64_t)(sizeof(migrations) / sizeof(migrations[0])))

static bool migrate(struct db *db, const char *path, struct err *err)
{
    int64_t version = 0;

    TRY(db_version(db, &version, err));
    if (version > VERSION || version < 0) {
        err_set(err, ERR_STORAGE,
                "registry %s has schema version %lld; keyd %s knows versions up to %lld", path,
                (long long)version, KEYD_VERSION, (long long)VERSION);
        return err_hint(err, "a newer keyd wrote it: start that one, or put an older backup back");
    }
    for (; version < VERSION; version++)
        TRY(db_migrate(db, migrations[version], version + 1, err));
    return true;
}

bool registry_open(struct registry **ret, const char *path, struct err *err)
{
    struct registry *r = mem_new(sizeof(*r));

    if (!r)
        return err_set(err, ERR_INTERNAL, "no memory for the registry");
    if (!db_open(&r->db, path, err) || !migrate(r->db, path, err)) {
        registry_close(r);
        return false;
    }
    *ret = r;
    return true;
}

void registry_close(struct registry *r)
{
    if (!r)
        return;
    db_close(r->db);
    mem_free(r);
}

uint64_t registry_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

int64_t registry_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool registry_counts(struct registry *r, uint32_t *ret_tenants, uint32_t *ret_keys, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db, "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM keys)", &q,
                 err));
    TRY(db_step(q, &row, err));
    uint32_t tenants = row ? (uint32_t)db_get_int(q) : 0, keys = row ? (uint32_t)db_get_int(q) : 0;
    TRY(db_row_ok(q, err));
    *ret_tenants = tenants;
    *ret_keys = keys;
    return true;
}

bool registry_copy(struct registry *r, const char *path, struct err *err)
{
    return db_copy(r->db, path, err);
}

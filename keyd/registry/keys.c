/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

#define SELECT                                                                                     \
    "SELECT id, tenant, name, type, purposes, state, created, cka_id, spki, "                      \
    "EXISTS (SELECT 1 FROM adoptions WHERE key = keys.id), allowed_names FROM keys "
#define WITHIN     "WHERE id BETWEEN $1 AND $2 AND ($3 = '' OR tenant = $3) "
#define PREFIX_MIN 8 /* hex digits */
#define CANDIDATES 4 /* that an error names */

static bool read_row(struct db_query *q, struct registry_key *ret, struct err *err)
{
    size_t id_len = db_get_bytes(q, ret->id, sizeof(ret->id));

    db_get_text(q, ret->tenant, sizeof(ret->tenant));
    db_get_text(q, ret->name, sizeof(ret->name));
    ret->type = (enum key_type)db_get_int(q);
    ret->purposes = (uint32_t)db_get_int(q);
    ret->state = (enum registry_key_state)db_get_int(q);
    ret->created = (uint64_t)db_get_int(q);
    ret->cka_id_len = db_get_bytes(q, ret->cka_id, sizeof(ret->cka_id));
    ret->spki_len = db_get_bytes(q, ret->spki, sizeof(ret->spki));
    ret->adopted = db_get_int(q) != 0;
    db_get_text(q, ret->allowed_names, sizeof(ret->allowed_names));
    TRY(db_row_ok(q, err));
    if (id_len != KEY_ID_LEN || !key_type_info(ret->type) || ret->purposes & ~PURPOSES_ALL ||
        ret->state < REGISTRY_KEY_ENABLED || ret->state > REGISTRY_KEY_DESTROYING)
        return err_set(err, ERR_STORAGE, "registry: the row of key %s/%s is damaged", ret->tenant,
                       ret->name);
    return true;
}

/* The one row of a query; *ret_found is false when there is none. */
static bool read_one(struct db_query *q, struct registry_key *ret, bool *ret_found, struct err *err)
{
    struct registry_key key;

    TRY(db_step(q, ret_found, err));
    if (!*ret_found)
        return true;
    TRY(read_row(q, &key, err));
    *ret = key;
    return true;
}

/* ---- by name */

/* "tenant/name" in two; both are checked. */
static bool split(const char *key, char tenant[NAME_MAX_LEN + 1], char name[NAME_MAX_LEN + 1],
                  struct err *err)
{
    const char *slash = strchr(key, '/');
    size_t n = slash ? (size_t)(slash - key) : 0;

    if (!slash || n > NAME_MAX_LEN || strlen(slash + 1) > NAME_MAX_LEN)
        return err_set(err, ERR_BAD_REQUEST, "\"%.140s\" is no tenant/name", key);
    memcpy(tenant, key, n);
    tenant[n] = '\0';
    memcpy(name, slash + 1, strlen(slash + 1) + 1);
    TRY(name_check(tenant, "tenant", err));
    return name_check(name, "key", err);
}

static bool find_by_name(struct registry *r, const char *key, const char *within,
                         struct registry_key *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    char tenant[NAME_MAX_LEN + 1], name[NAME_MAX_LEN + 1];
    struct registry_tenant row;
    bool found = false;

    TRY(split(key, tenant, name, err));
    if (*within && strcmp(tenant, within) != 0)
        return registry_tenant_unknown(tenant, err);
    TRY(db_query(r->db, SELECT "WHERE tenant = $1 AND name = $2", &q, err));
    db_put_text(q, tenant);
    db_put_text(q, name);
    TRY(read_one(q, ret, &found, err));
    if (found)
        return true;
    TRY(registry_tenant_find(r, tenant, &row, err));
    err_set(err, ERR_NOT_FOUND, "the tenant %s has no key %s", tenant, name);
    return err_hint(err, "keydctl keys-list --tenant %s", tenant);
}

/* ---- by id */

/* The lowest and the highest id that begin with these hex digits. */
static bool prefix_range(const char *hex, uint8_t low[KEY_ID_LEN], uint8_t high[KEY_ID_LEN])
{
    char text[KEY_ID_HEX_LEN + 1];
    size_t n = strlen(hex);

    memset(text, '0', KEY_ID_HEX_LEN);
    memcpy(text, hex, n);
    text[KEY_ID_HEX_LEN] = '\0';
    if (!hex_decode(text, low, KEY_ID_LEN))
        return false;
    memset(text + n, 'f', KEY_ID_HEX_LEN - n);
    return hex_decode(text, high, KEY_ID_LEN);
}

static bool ambiguous(struct registry *r, const char *prefix, const char *within,
                      const uint8_t low[KEY_ID_LEN], const uint8_t high[KEY_ID_LEN],
                      struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    char list[240] = "";
    size_t at = 0;
    unsigned count = 0;
    bool row = false;

    TRY(db_query(r->db, SELECT WITHIN "ORDER BY tenant, name", &q, err));
    db_put_bytes(q, low, KEY_ID_LEN);
    db_put_bytes(q, high, KEY_ID_LEN);
    db_put_text(q, within);
    TRY(db_step(q, &row, err));
    for (; row && count < CANDIDATES && at < sizeof(list); count++) {
        struct registry_key key;
        TRY(read_row(q, &key, err));
        int n = snprintf(list + at, sizeof(list) - at, "%s%s/%s", count ? ", " : "", key.tenant,
                         key.name);
        at += n > 0 ? (size_t)n : 0;
        TRY(db_step(q, &row, err));
    }
    err_set(err, ERR_AMBIGUOUS, "more than one key id starts with %s: %s%s", prefix, list,
            row ? ", ..." : "");
    return err_hint(err, "give more digits, or tenant/name");
}

static bool find_by_prefix(struct registry *r, const char *prefix, const char *within,
                           struct registry_key *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    uint8_t low[KEY_ID_LEN], high[KEY_ID_LEN];
    struct registry_key first;
    bool found = false, more = false;

    if (!prefix_range(prefix, low, high))
        return err_set(err, ERR_BAD_REQUEST, "\"%s\" is no key id in hex", prefix);
    TRY(db_query(r->db, SELECT WITHIN "LIMIT 2", &q, err));
    db_put_bytes(q, low, KEY_ID_LEN);
    db_put_bytes(q, high, KEY_ID_LEN);
    db_put_text(q, within);
    TRY(read_one(q, &first, &found, err));
    if (!found) {
        err_set(err, ERR_NOT_FOUND, "there is no key whose id starts with %s", prefix);
        return err_hint(err, "keydctl keys-list");
    }
    TRY(db_step(q, &more, err));
    if (more)
        return ambiguous(r, prefix, within, low, high, err);
    *ret = first;
    return true;
}

bool registry_key_find(struct registry *r, const char *key, const char *within,
                       struct registry_key *ret, struct err *err)
{
    size_t n = strlen(key);

    if (strchr(key, '/'))
        return find_by_name(r, key, within, ret, err);
    if (n >= PREFIX_MIN && n <= KEY_ID_HEX_LEN && strspn(key, "0123456789abcdefABCDEF") == n)
        return find_by_prefix(r, key, within, ret, err);
    err_set(err, ERR_BAD_REQUEST, "\"%.140s\" names no key", key);
    return err_hint(err, "a key is tenant/name, or %d or more hex digits of its id", PREFIX_MIN);
}

bool registry_key_by_id(struct registry *r, const uint8_t id[KEY_ID_LEN], struct registry_key *ret,
                        struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool found = false;

    TRY(db_query(r->db, SELECT "WHERE id = $1", &q, err));
    db_put_bytes(q, id, KEY_ID_LEN);
    TRY(read_one(q, ret, &found, err));
    if (!found) {
        char hex[KEY_ID_HEX_LEN + 1];
        return err_set(err, ERR_NOT_FOUND, "there is no key %s", hex_encode(id, KEY_ID_LEN, hex));
    }
    return true;
}

bool registry_key_by_cka_id(struct registry *r, const uint8_t *cka_id, size_t len,
                            struct registry_key *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool found = false;

    TRY(db_query(r->db, SELECT "WHERE cka_id = $1", &q, err));
    db_put_bytes(q, cka_id, len);
    TRY(read_one(q, ret, &found, err));
    return found || err_set(err, ERR_NOT_FOUND, "there is no key with this CKA_ID");
}

/* ---- lists */

static bool read_page(struct db_query *q, struct registry_key *rows, size_t max, size_t *ret_count,
                      bool *ret_more, struct err *err)
{
    size_t count = 0;
    bool row = false;

    TRY(db_step(q, &row, err));
    while (row && count < max) {
        TRY(read_row(q, &rows[count++], err));
        TRY(db_step(q, &row, err));
    }
    *ret_count = count;
    *ret_more = row;
    return true;
}

bool registry_key_list(struct registry *r, const char *tenant, const char *after,
                       struct registry_key *rows, size_t max, size_t *ret_count, bool *ret_more,
                       struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    char after_tenant[NAME_MAX_LEN + 1] = "", after_name[NAME_MAX_LEN + 1] = "";
    struct registry_tenant known;

    if (*after)
        TRY(split(after, after_tenant, after_name, err));
    if (*tenant) {
        TRY(registry_tenant_find(r, tenant, &known, err));
        TRY(db_query(r->db,
                     SELECT "WHERE (tenant, name) > ($1, $2) AND tenant = $3 "
                            "ORDER BY tenant, name LIMIT $4",
                     &q, err));
    } else {
        TRY(db_query(r->db, SELECT "WHERE (tenant, name) > ($1, $2) ORDER BY tenant, name LIMIT $3",
                     &q, err));
    }
    db_put_text(q, after_tenant);
    db_put_text(q, after_name);
    if (*tenant)
        db_put_text(q, tenant);
    db_put_int(q, (int64_t)max + 1);
    return read_page(q, rows, max, ret_count, ret_more, err);
}

/* ---- changes */

static bool change_one(struct registry *r, const char *sql, int64_t state,
                       const uint8_t id[KEY_ID_LEN], bool *ret_done, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;

    TRY(db_query(r->db, sql, &q, err));
    db_put_int(q, state);
    db_put_bytes(q, id, KEY_ID_LEN);
    bool row;
    TRY(db_step(q, &row, err));
    *ret_done = db_changed(q) > 0;
    return true;
}

bool registry_key_set_state(struct registry *r, const uint8_t id[KEY_ID_LEN],
                            enum registry_key_state state, struct err *err)
{
    struct registry_key key;
    bool done = false;

    TRY(change_one(r, "UPDATE keys SET state = $1 WHERE id = $2 AND (state <> 3 OR $1 = 3)", state,
                   id, &done, err));
    if (done)
        return true;
    TRY(registry_key_by_id(r, id, &key, err));
    return err_set(err, ERR_CONFLICT, "the key %s/%s is being destroyed", key.tenant, key.name);
}

bool registry_key_remove(struct registry *r, const uint8_t id[KEY_ID_LEN], struct err *err)
{
    bool done = false;

    TRY(change_one(r, "DELETE FROM keys WHERE state = $1 AND id = $2", REGISTRY_KEY_DESTROYING, id,
                   &done, err));
    return done || err_set(err, ERR_NOT_FOUND, "there is no such key that is being destroyed");
}

/* ---- keys that were there before */

static bool insert_adoption(struct registry *r, const struct registry_key *key, const char *seen,
                            struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "INSERT INTO adoptions (key, seen) VALUES ($1, $2)", &q, err));
    db_put_bytes(q, key->id, KEY_ID_LEN);
    db_put_text(q, seen);
    return db_step(q, &row, err);
}

bool registry_key_adopt(struct registry *r, struct registry_key *key, const char *seen,
                        struct err *err)
{
    TRY(registry_name_is_free(r, key->tenant, key->name, err));
    key->created = registry_now();
    key->adopted = true;
    TRY(db_begin(r->db, err));
    if (key_insert(r, key, err) && insert_adoption(r, key, seen, err))
        return db_commit(r->db, err);
    db_rollback(r->db);
    return false;
}

bool registry_key_seen(struct registry *r, const uint8_t id[KEY_ID_LEN],
                       char ret[REGISTRY_SEEN_MAX + 1], struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool found = false;

    TRY(db_query(r->db, "SELECT seen FROM adoptions WHERE key = $1", &q, err));
    db_put_bytes(q, id, KEY_ID_LEN);
    TRY(db_step(q, &found, err));
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "this key was not adopted");
    db_get_text(q, ret, REGISTRY_SEEN_MAX + 1);
    return db_row_ok(q, err);
}

bool registry_key_unused(struct registry *r, const struct registry_key *key, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    char kind[64] = "", what[128] = "";
    bool used = false;

    TRY(db_query(r->db, "SELECT kind, what FROM key_uses WHERE key = $1 ORDER BY kind, what", &q,
                 err));
    db_put_bytes(q, key->id, KEY_ID_LEN);
    TRY(db_step(q, &used, err));
    if (!used)
        return true;
    db_get_text(q, kind, sizeof(kind));
    db_get_text(q, what, sizeof(what));
    TRY(db_row_ok(q, err));
    return err_set(err, ERR_CONFLICT, "the key %s/%s is used by the %s %s", key->tenant, key->name,
                   kind, what);
}

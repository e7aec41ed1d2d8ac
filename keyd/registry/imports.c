/* SPDX-License-Identifier: Apache-2.0
 *
 * What imports leave behind between their two requests stands here and not in a process, because
 * the custodian is replaced after imports: nonces, which are good once; and how often a principal
 * has failed.
 *
 * Failures are a leaky bucket in one number: the moment at which it will be empty. Each failure
 * puts that moment `each_ms` further away; who is more than `burst` failures ahead of the clock
 * waits.
 */
#include <stdio.h>
#include <string.h>

#include "keyd/registry/internal.h"
#include "proto/base/mem.h"

#define SELECT       "SELECT id, state, created, cka_id, spki FROM import_keys "
#define NONCES_MAX   1024 /* of all */
#define NONCES_EACH  64   /* of a principal */
#define NONCES_RETRY 10000

/* ---- import keys */

static bool read_row(struct db_query *q, struct registry_import_key *ret, struct err *err)
{
    size_t id_len = db_get_bytes(q, ret->id, sizeof(ret->id));

    ret->state = (enum registry_import_state)db_get_int(q);
    ret->created = (uint64_t)db_get_int(q);
    ret->cka_id_len = db_get_bytes(q, ret->cka_id, sizeof(ret->cka_id));
    ret->spki_len = db_get_bytes(q, ret->spki, sizeof(ret->spki));
    TRY(db_row_ok(q, err));
    if (id_len != KEY_ID_LEN || ret->cka_id_len == 0 || ret->state < REGISTRY_IMPORT_CURRENT ||
        ret->state > REGISTRY_IMPORT_GOING)
        return err_set(err, ERR_STORAGE, "registry: the row of an import key is damaged");
    return true;
}

/* The one row of a query. */
static bool read_one(struct db_query *q, struct registry_import_key *ret, struct err *err)
{
    struct registry_import_key key;
    bool row = false;

    TRY(db_step(q, &row, err));
    if (!row)
        return err_set(err, ERR_NOT_FOUND, "there is no such import key");
    TRY(read_row(q, &key, err));
    *ret = key;
    return true;
}

bool registry_import_current(struct registry *r, struct registry_import_key *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;

    TRY(db_query(r->db, SELECT "WHERE state = 1", &q, err));
    return read_one(q, ret, err);
}

bool registry_import_by_id(struct registry *r, const uint8_t id[KEY_ID_LEN],
                           struct registry_import_key *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;

    TRY(db_query(r->db, SELECT "WHERE id = $1", &q, err));
    db_put_bytes(q, id, KEY_ID_LEN);
    return read_one(q, ret, err);
}

bool registry_import_by_cka_id(struct registry *r, const uint8_t *cka_id, size_t len,
                               struct registry_import_key *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;

    TRY(db_query(r->db, SELECT "WHERE cka_id = $1", &q, err));
    db_put_bytes(q, cka_id, len);
    return read_one(q, ret, err);
}

bool registry_import_list(struct registry *r, struct registry_import_key **ret, size_t *ret_count,
                          struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    AUTO_FREE struct registry_import_key *list = mem_array(1, sizeof(*list));
    size_t count = 0;
    bool row = false;

    TRY(db_query(r->db, SELECT "ORDER BY created, id", &q, err));
    TRY(db_step(q, &row, err));
    while (row) {
        struct registry_import_key *grown = mem_resize(list, count + 1, sizeof(*list));
        if (!grown)
            return err_set(err, ERR_INTERNAL, "no memory for the registry's import keys");
        list = grown;
        TRY(read_row(q, &list[count++], err));
        TRY(db_step(q, &row, err));
    }
    *ret = TAKE(list);
    *ret_count = count;
    return true;
}

static bool retire(struct registry *r, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "UPDATE import_keys SET state = 2 WHERE state = 1", &q, err));
    return db_step(q, &row, err);
}

static bool insert_key(struct registry *r, const struct registry_import_key *key, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db,
                 "INSERT INTO import_keys (id, cka_id, spki, state, created) "
                 "VALUES ($1, $2, $3, $4, $5)",
                 &q, err));
    db_put_bytes(q, key->id, sizeof(key->id));
    db_put_bytes(q, key->cka_id, key->cka_id_len);
    db_put_bytes(q, key->spki, key->spki_len);
    db_put_int(q, key->state);
    db_put_int(q, (int64_t)key->created);
    return db_step(q, &row, err);
}

bool registry_import_commit(struct registry *r, const uint8_t intent[INTENT_ID_LEN],
                            struct registry_import_key *key, struct err *err)
{
    key->state = REGISTRY_IMPORT_CURRENT;
    key->created = registry_now();
    TRY(db_begin(r->db, err));
    if (retire(r, err) && insert_key(r, key, err) && intent_delete(r, intent, err))
        return db_commit(r->db, err);
    db_rollback(r->db);
    return false;
}

bool registry_import_going(struct registry *r, const uint8_t id[KEY_ID_LEN], bool *ret_going,
                           struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(
        r->db,
        "UPDATE import_keys SET state = 3 WHERE id = $1 AND state IN (2, 3) AND NOT EXISTS "
        "(SELECT 1 FROM import_nonces WHERE import_key = $2)",
        &q, err));
    db_put_bytes(q, id, KEY_ID_LEN);
    db_put_bytes(q, id, KEY_ID_LEN);
    TRY(db_step(q, &row, err));
    *ret_going = db_changed(q) == 1;
    return true;
}

bool registry_import_drop(struct registry *r, const uint8_t id[KEY_ID_LEN], struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "DELETE FROM import_keys WHERE id = $1 AND state = 3", &q, err));
    db_put_bytes(q, id, KEY_ID_LEN);
    TRY(db_step(q, &row, err));
    return db_changed(q) == 1 || err_set(err, ERR_NOT_FOUND, "there is no such import key");
}

/* ---- nonces */

/* A clock that was set back makes nonces of the future: they are as good as old ones. */
bool registry_nonce_expire(struct registry *r, uint32_t good_s, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    int64_t now = (int64_t)registry_now();
    bool row;

    TRY(db_query(r->db, "DELETE FROM import_nonces WHERE created < $1 OR created > $2", &q, err));
    db_put_int(q, now - good_s);
    db_put_int(q, now);
    return db_step(q, &row, err);
}

static bool count_nonces(struct registry *r, const char *principal, int64_t *ret_all,
                         int64_t *ret_his, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db,
                 "SELECT (SELECT count(*) FROM import_nonces), "
                 "(SELECT count(*) FROM import_nonces WHERE principal = $1)",
                 &q, err));
    db_put_text(q, principal);
    TRY(db_step(q, &row, err));
    *ret_all = row ? db_get_int(q) : 0;
    *ret_his = row ? db_get_int(q) : 0;
    return db_row_ok(q, err);
}

static bool insert_nonce(struct registry *r, const struct registry_nonce *nonce, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db,
                 "INSERT INTO import_nonces (nonce, import_key, principal, created) "
                 "VALUES ($1, $2, $3, $4)",
                 &q, err));
    db_put_bytes(q, nonce->nonce, sizeof(nonce->nonce));
    db_put_bytes(q, nonce->import_key, sizeof(nonce->import_key));
    db_put_text(q, nonce->principal);
    db_put_int(q, (int64_t)registry_now());
    return db_step(q, &row, err);
}

bool registry_nonce_add(struct registry *r, const struct registry_nonce *nonce, uint32_t good_s,
                        struct err *err)
{
    int64_t all = 0, his = 0;

    TRY(registry_nonce_expire(r, good_s, err));
    TRY(count_nonces(r, nonce->principal, &all, &his, err));
    if (all >= NONCES_MAX || his >= NONCES_EACH) {
        err_set(err, ERR_BUSY,
                "too many imports are begun and not finished: %lld, %lld of them yours",
                (long long)all, (long long)his);
        return err_retry(err, NONCES_RETRY);
    }
    return insert_nonce(r, nonce, err);
}

static bool find_nonce(struct registry *r, const uint8_t nonce[IMPORT_NONCE_LEN],
                       const char *principal, struct registry_nonce *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db,
                 "SELECT nonce, import_key, principal FROM import_nonces "
                 "WHERE nonce = $1 AND principal = $2",
                 &q, err));
    db_put_bytes(q, nonce, IMPORT_NONCE_LEN);
    db_put_text(q, principal);
    TRY(db_step(q, &row, err));
    if (!row)
        return err_set(err, ERR_NOT_FOUND, "there is no such nonce");
    size_t n = db_get_bytes(q, ret->nonce, sizeof(ret->nonce));
    size_t m = db_get_bytes(q, ret->import_key, sizeof(ret->import_key));
    db_get_text(q, ret->principal, sizeof(ret->principal));
    TRY(db_row_ok(q, err));
    return (n == sizeof(ret->nonce) && m == sizeof(ret->import_key)) ||
           err_set(err, ERR_STORAGE, "registry: the row of a nonce is damaged");
}

static bool delete_nonce(struct registry *r, const uint8_t nonce[IMPORT_NONCE_LEN], struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "DELETE FROM import_nonces WHERE nonce = $1", &q, err));
    db_put_bytes(q, nonce, IMPORT_NONCE_LEN);
    return db_step(q, &row, err);
}

bool registry_nonce_take(struct registry *r, const uint8_t nonce[IMPORT_NONCE_LEN],
                         const char *principal, uint32_t good_s, struct registry_nonce *ret,
                         struct err *err)
{
    struct registry_nonce found = {.principal = ""};

    TRY(registry_nonce_expire(r, good_s, err));
    TRY(find_nonce(r, nonce, principal, &found, err));
    TRY(delete_nonce(r, nonce, err));
    *ret = found;
    return true;
}

/* ---- failures */

/* The moment at which the principal's bucket is empty, in ms since 1970; 0: it is. */
static bool read_level(struct registry *r, const char *principal, int64_t *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(r->db, "SELECT level_ms FROM import_failures WHERE principal = $1", &q, err));
    db_put_text(q, principal);
    TRY(db_step(q, &row, err));
    *ret = row ? db_get_int(q) : 0;
    return !row || db_row_ok(q, err);
}

static bool forget_old_levels(struct registry *r, int64_t now, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db, "DELETE FROM import_failures WHERE level_ms <= $1", &q, err));
    db_put_int(q, now);
    return db_step(q, &row, err);
}

static bool write_level(struct registry *r, const char *principal, int64_t level, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(r->db,
                 "INSERT INTO import_failures (principal, level_ms) VALUES ($1, $2) "
                 "ON CONFLICT (principal) DO UPDATE SET level_ms = excluded.level_ms",
                 &q, err));
    db_put_text(q, principal);
    db_put_int(q, level);
    return db_step(q, &row, err);
}

bool registry_failure_add(struct registry *r, const char *principal, uint32_t each_ms,
                          struct err *err)
{
    int64_t now = registry_now_ms(), level = 0;

    TRY(read_level(r, principal, &level, err));
    TRY(forget_old_levels(r, now, err));
    return write_level(r, principal, (level > now ? level : now) + each_ms, err);
}

bool registry_failure_wait(struct registry *r, const char *principal, uint32_t burst,
                           uint32_t each_ms, uint32_t *ret_ms, struct err *err)
{
    int64_t level = 0, full = (int64_t)burst * each_ms;

    TRY(read_level(r, principal, &level, err));
    /* there is room for one more failure when the level is at most burst - 1 of them ahead */
    int64_t wait = level - registry_now_ms() - (full - each_ms);
    /* a clock that was set back must not lock anybody out for longer than a full bucket */
    *ret_ms = wait <= 0 ? 0 : (uint32_t)(wait < full ? wait : full);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite behind db.h. WAL with synchronous=FULL: a commit is one fsync of the log and survives a
 * power cut. The statements of a connection are kept in a list and found by the address of their
 * text.
 */
#include "keyd/registry/db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"

#define BUSY_MS 5000

struct db_query {
    struct db_query *next;
    struct db *db;
    const char *sql;
    sqlite3_stmt *stmt;
    int put, got; /* placeholders and columns used so far */
    int failed;   /* first failure of a db_put_*: a code of SQLite */
    bool bad_row;
};

struct db {
    sqlite3 *sqlite;
    struct db_query *queries;
    char path[512];
};

static enum err_code code_of(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return ERR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return ERR_CONFLICT;
    default:
        return ERR_STORAGE;
    }
}

static bool fail(const struct db *db, int rc, struct err *err)
{
    const char *words = db->sqlite ? sqlite3_errmsg(db->sqlite) : sqlite3_errstr(rc);

    err_set(err, code_of(rc), "registry %s: %s", db->path, words);
    if ((rc & 0xff) == SQLITE_FULL)
        err_hint(err, "nothing was changed: make room on the file system of %.100s", db->path);
    if ((rc & 0xff) == SQLITE_READONLY || (rc & 0xff) == SQLITE_CANTOPEN ||
        (rc & 0xff) == SQLITE_PERM)
        err_hint(err, "it, its -wal and its folder must be keyd's to write, on a file system that "
                      "is not read-only");
    if ((rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT)
        err_hint(err, "this is no registry of keyd, or it is damaged: put a backup back");
    if ((rc & 0xff) == SQLITE_BUSY)
        err_hint(err, "another process has the registry open: which one?");
    return false;
}

static bool run(struct db *db, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK || fail(db, sqlite3_extended_errcode(db->sqlite), err);
}

static bool open_file(struct db *db, struct err *err)
{
    int rc = sqlite3_open_v2(db->path, &db->sqlite,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_EXRESCODE,
                             NULL);

    if (rc != SQLITE_OK)
        return fail(db, rc, err);
    sqlite3_busy_timeout(db->sqlite, BUSY_MS);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return run(db,
               "PRAGMA journal_mode = WAL;"
               "PRAGMA synchronous = FULL;"
               "PRAGMA foreign_keys = ON;"
               "PRAGMA cell_size_check = ON;",
               err);
}

bool db_open(struct db **ret, const char *path, struct err *err)
{
    struct db *db = mem_new(sizeof(*db));

    if (!db)
        return err_set(err, ERR_INTERNAL, "no memory for the registry");
    int n = snprintf(db->path, sizeof(db->path), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(db->path)) {
        mem_free(db);
        return err_set(err, ERR_STORAGE, "the registry's path is longer than %zu bytes",
                       sizeof(db->path) - 1);
    }
    if (!open_file(db, err)) {
        db_close(db);
        return false;
    }
    *ret = db;
    return true;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    while (db->queries) {
        struct db_query *q = db->queries;
        db->queries = q->next;
        sqlite3_finalize(q->stmt);
        mem_free(q);
    }
    sqlite3_close(db->sqlite);
    mem_free(db);
}

bool db_version(struct db *db, int64_t *ret, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row = false;

    TRY(db_query(db, "PRAGMA user_version", &q, err));
    TRY(db_step(q, &row, err));
    *ret = row ? db_get_int(q) : 0;
    return true;
}

bool db_migrate(struct db *db, const char *sql, int64_t version, struct err *err)
{
    char pragma[64];

    snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %lld", (long long)version);
    TRY(db_begin(db, err));
    if (run(db, sql, err) && run(db, pragma, err))
        return db_commit(db, err);
    db_rollback(db);
    return false;
}

bool db_begin(struct db *db, struct err *err)
{
    return run(db, "BEGIN IMMEDIATE", err);
}

bool db_commit(struct db *db, struct err *err)
{
    if (run(db, "COMMIT", err))
        return true;
    db_rollback(db);
    return false;
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

bool db_copy(struct db *db, const char *path, struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(db, "VACUUM INTO $1", &q, err));
    db_put_text(q, path);
    return db_step(q, &row, err) || err_prefix(err, "copying it to %s", path);
}

bool db_query(struct db *db, const char *sql, struct db_query **ret, struct err *err)
{
    for (struct db_query *q = db->queries; q; q = q->next) {
        if (q->sql == sql) {
            *ret = q;
            return true;
        }
    }
    struct db_query *q = mem_new(sizeof(*q));
    if (!q)
        return err_set(err, ERR_INTERNAL, "no memory for the registry");
    int rc = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (rc != SQLITE_OK) {
        mem_free(q);
        return fail(db, rc, err);
    }
    q->db = db;
    q->sql = sql;
    q->next = db->queries;
    db->queries = q;
    *ret = q;
    return true;
}

static void note(struct db_query *q, int rc)
{
    if (q->failed == SQLITE_OK)
        q->failed = rc;
}

void db_put_int(struct db_query *q, int64_t v)
{
    note(q, sqlite3_bind_int64(q->stmt, ++q->put, v));
}

void db_put_text(struct db_query *q, const char *s)
{
    note(q, sqlite3_bind_text(q->stmt, ++q->put, s, -1, SQLITE_TRANSIENT));
}

void db_put_bytes(struct db_query *q, const void *p, size_t n)
{
    note(q, sqlite3_bind_blob64(q->stmt, ++q->put, n ? p : "", n, SQLITE_TRANSIENT));
}

bool db_step(struct db_query *q, bool *ret_row, struct err *err)
{
    int rc = q->failed;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return fail(q->db, rc, err);
    q->got = 0;
    q->bad_row = false;
    *ret_row = rc == SQLITE_ROW;
    return true;
}

int64_t db_get_int(struct db_query *q)
{
    int column = q->got++;

    if (sqlite3_column_type(q->stmt, column) != SQLITE_INTEGER)
        q->bad_row = true;
    return sqlite3_column_int64(q->stmt, column);
}

void db_get_text(struct db_query *q, char *buf, size_t size)
{
    int column = q->got++;
    const char *text = (const char *)sqlite3_column_text(q->stmt, column);
    size_t n = (size_t)sqlite3_column_bytes(q->stmt, column);

    if (!text || n >= size || strlen(text) != n) {
        q->bad_row = true;
        n = 0;
    }
    if (n)
        memcpy(buf, text, n);
    buf[n] = '\0';
}

size_t db_get_bytes(struct db_query *q, void *buf, size_t cap)
{
    int column = q->got++;
    const void *p = sqlite3_column_blob(q->stmt, column);
    size_t n = (size_t)sqlite3_column_bytes(q->stmt, column);

    if (sqlite3_column_type(q->stmt, column) != SQLITE_BLOB || n > cap) {
        q->bad_row = true;
        return 0;
    }
    if (n)
        memcpy(buf, p, n);
    return n;
}

bool db_row_ok(const struct db_query *q, struct err *err)
{
    if (!q->bad_row)
        return true;
    err_set(err, ERR_STORAGE, "registry %s: a row holds what keyd never writes", q->db->path);
    return err_hint(err, "was it changed by hand? put a backup back");
}

int64_t db_changed(const struct db_query *q)
{
    return sqlite3_changes64(q->db->sqlite);
}

void db_done(struct db_query **q)
{
    if (!*q)
        return;
    sqlite3_reset((*q)->stmt);
    sqlite3_clear_bindings((*q)->stmt);
    (*q)->put = (*q)->got = (*q)->failed = 0;
    (*q)->bad_row = false;
    *q = NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * db: what the registry needs of a database, in a dozen functions (and one for each type of value).
 * The SQL is written once, above; db_sqlite.c is one body of this header and the only file that
 * knows SQLite. Placeholders are $1, $2, ... in order. One thread, one statement at a time for each
 * text.
 *
 * Errors: ERR_EXISTS a key is taken; ERR_CONFLICT a foreign key is broken; ERR_STORAGE the rest,
 * with the database's own words.
 */
#ifndef KEYD_REGISTRY_DB_H
#define KEYD_REGISTRY_DB_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct db;
struct db_query;

/* Opens the database, which is made if it is not there. From here on what is committed is on the
 * disk, and foreign keys hold. */
bool db_open(struct db **ret, const char *path, struct err *err) MUST_USE;

/* Closes; an open transaction is rolled back. NULL is fine. */
void db_close(struct db *db);

/* The version of the schema; 0 in a database that is new. */
bool db_version(struct db *db, int64_t *ret, struct err *err) MUST_USE;

/* Runs statements that give no rows and sets the version of the schema, both or neither. */
bool db_migrate(struct db *db, const char *sql, int64_t version, struct err *err) MUST_USE;

/* Begins a transaction that writes. */
bool db_begin(struct db *db, struct err *err) MUST_USE;

/* Ends the transaction: it is durable when this returns true. On failure it is rolled back. */
bool db_commit(struct db *db, struct err *err) MUST_USE;

/* Takes the transaction back, if there is one. */
void db_rollback(struct db *db);

/* Writes a copy of the whole database, as the last commit left it, to a file that is not there yet.
 * ERR_STORAGE. */
bool db_copy(struct db *db, const char *path, struct err *err) MUST_USE;

/* A prepared statement, kept for the next use of the same text (a string literal). Given back with
 * db_done before it is asked for again. */
bool db_query(struct db *db, const char *sql, struct db_query **ret, struct err *err) MUST_USE;

/* Binds the next placeholder. Text and bytes are copied. What fails is told by db_step. */
void db_put_int(struct db_query *q, int64_t v);
/* See db_put_int. */
void db_put_text(struct db_query *q, const char *s);
/* See db_put_int. */
void db_put_bytes(struct db_query *q, const void *p, size_t n);

/* Runs up to the next row: *ret_row is false when there is none left. */
bool db_step(struct db_query *q, bool *ret_row, struct err *err) MUST_USE;

/* The next column of the row. A column of another type or size fails the row: see db_row_ok. */
int64_t db_get_int(struct db_query *q);
/* Text, copied to buf with a final zero. See db_get_int. */
void db_get_text(struct db_query *q, char *buf, size_t size);
/* Bytes, at most cap of them, copied to buf. Returns how many. See db_get_int. */
size_t db_get_bytes(struct db_query *q, void *buf, size_t cap);

/* Whether all columns that were taken of this row were what they should be. */
bool db_row_ok(const struct db_query *q, struct err *err) MUST_USE;

/* How many rows the statement changed. */
int64_t db_changed(const struct db_query *q);

/* Gives the statement back. For CLEANUP: takes the address of the variable; NULL in it is fine. */
void db_done(struct db_query **q);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "keyd/registry/db.h"
#include "proto/base/mem.h"

/* Beside the registry a database of our own. */
static struct db *open_db(struct place *p)
{
    struct db *db;
    struct err err;
    char path[400];

    snprintf(path, sizeof(path), "%s/test.db", p->dir);
    OK(db_open(&db, path, &err));
    return db;
}

static void make_tables(struct db *db)
{
    struct err err;

    OK(db_migrate(db,
                  "CREATE TABLE a (n BIGINT NOT NULL PRIMARY KEY, t TEXT, b BLOB);"
                  "CREATE TABLE c (n BIGINT REFERENCES a (n))",
                  1, &err));
}

static bool insert(struct db *db, int64_t n, const char *t, const void *b, size_t len,
                   struct err *err)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    bool row;

    TRY(db_query(db, "INSERT INTO a (n, t, b) VALUES ($1, $2, $3)", &q, err));
    db_put_int(q, n);
    db_put_text(q, t);
    db_put_bytes(q, b, len);
    TRY(db_step(q, &row, err));
    assert_int_equal(db_changed(q), 1);
    return true;
}

static int64_t count(struct db *db)
{
    CLEANUP(db_done) struct db_query *q = NULL;
    struct err err;
    bool row = false;

    OK(db_query(db, "SELECT count(*) FROM a", &q, &err));
    OK(db_step(q, &row, &err));
    assert_true(row);
    return db_get_int(q);
}

static void values_come_back(void **state)
{
    struct db *db = open_db(*state);
    struct db_query *q = NULL;
    char text[8];
    uint8_t bytes[4];
    bool row = false;
    struct err err;

    make_tables(db);
    OK(insert(db, INT64_MIN, "seven77", "\0\1\2\3", 4, &err));
    OK(insert(db, INT64_MAX, "", "", 0, &err));
    OK(db_query(db, "SELECT n, t, b FROM a ORDER BY n", &q, &err));
    OK(db_step(q, &row, &err));
    assert_true(row);
    assert_true(db_get_int(q) == INT64_MIN);
    db_get_text(q, text, sizeof(text));
    assert_string_equal(text, "seven77");
    assert_int_equal(db_get_bytes(q, bytes, sizeof(bytes)), 4);
    assert_memory_equal(bytes, "\0\1\2\3", 4);
    OK(db_row_ok(q, &err));
    OK(db_step(q, &row, &err));
    assert_true(db_get_int(q) == INT64_MAX);
    db_get_text(q, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(db_get_bytes(q, bytes, sizeof(bytes)), 0);
    OK(db_row_ok(q, &err));
    OK(db_step(q, &row, &err));
    assert_false(row);
    db_done(&q);
    assert_null(q);
    db_close(db);
}

static void rows_that_do_not_fit(void **state)
{
    struct db *db = open_db(*state);
    struct db_query *q = NULL;
    char text[7];
    uint8_t bytes[3];
    bool row = false;
    struct err err;

    make_tables(db);
    OK(insert(db, 1, "seven77", "\0\1\2\3", 4, &err));
    for (int bad = 0; bad < 3; bad++) {
        OK(db_query(db, "SELECT t, b FROM a", &q, &err));
        OK(db_step(q, &row, &err));
        if (bad == 0)
            db_get_text(q, text, sizeof(text)); /* too long */
        else if (bad == 1)
            db_get_int(q); /* not a number */
        else
            db_get_bytes(q, bytes, sizeof(bytes)); /* not bytes */
        REFUSED(db_row_ok(q, &err), ERR_STORAGE);
        OK(db_step(q, &row, &err));
        db_done(&q);
    }
    OK(db_query(db, "SELECT b FROM a", &q, &err));
    OK(db_step(q, &row, &err));
    assert_int_equal(db_get_bytes(q, bytes, sizeof(bytes)), 0); /* too many */
    REFUSED(db_row_ok(q, &err), ERR_STORAGE);
    db_done(&q);
    db_close(db);
}

static void constraints_have_codes(void **state)
{
    struct db *db = open_db(*state);
    struct db_query *q = NULL;
    bool row;
    struct err err;

    make_tables(db);
    OK(insert(db, 1, "", "", 0, &err));
    REFUSED(insert(db, 1, "", "", 0, &err), ERR_EXISTS);
    OK(db_query(db, "INSERT INTO c (n) VALUES ($1)", &q, &err));
    db_put_int(q, 2);
    REFUSED(db_step(q, &row, &err), ERR_CONFLICT);
    db_done(&q);
    OK(db_query(db, "INSERT INTO c (n) VALUES ($1)", &q, &err));
    db_put_int(q, 1);
    OK(db_step(q, &row, &err));
    db_done(&q);
    REFUSED(db_query(db, "SELECT nonsense FROM a", &q, &err), ERR_STORAGE);
    assert_non_null(strstr(err.text, "nonsense"));
    OK(db_query(db, "SELECT n FROM a WHERE n = $1", &q, &err));
    db_put_int(q, 1);
    db_put_int(q, 1); /* one too many */
    REFUSED(db_step(q, &row, &err), ERR_STORAGE);
    db_done(&q);
    db_close(db);
}

static void transactions(void **state)
{
    struct db *db = open_db(*state);
    struct err err;

    make_tables(db);
    OK(db_begin(db, &err));
    OK(insert(db, 1, "", "", 0, &err));
    db_rollback(db);
    assert_int_equal(count(db), 0);
    db_rollback(db); /* none: no harm */
    OK(db_begin(db, &err));
    OK(insert(db, 1, "", "", 0, &err));
    OK(db_commit(db, &err));
    assert_int_equal(count(db), 1);
    OK(db_begin(db, &err));
    OK(insert(db, 2, "", "", 0, &err));
    db_close(db); /* an open one does not survive */
    db = open_db(*state);
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void migrations_are_whole(void **state)
{
    struct db *db = open_db(*state);
    int64_t version = 77;
    struct err err;

    OK(db_version(db, &version, &err));
    assert_int_equal(version, 0);
    make_tables(db);
    OK(db_version(db, &version, &err));
    assert_int_equal(version, 1);
    REFUSED(db_migrate(db, "CREATE TABLE d (n BIGINT); CREATE TABLE a (n BIGINT)", 2, &err),
            ERR_STORAGE);
    OK(db_version(db, &version, &err));
    assert_int_equal(version, 1);
    OK(db_migrate(db, "CREATE TABLE d (n BIGINT)", 2, &err)); /* nothing of it was left */
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(values_come_back),       PLACE_TEST(rows_that_do_not_fit),
        PLACE_TEST(constraints_have_codes), PLACE_TEST(transactions),
        PLACE_TEST(migrations_are_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

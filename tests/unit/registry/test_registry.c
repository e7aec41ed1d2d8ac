/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <sys/stat.h>

#include "keyd/registry/db.h"

static void reopened(void **state)
{
    struct place *p = *state;
    uint32_t tenants = 77, keys = 77;
    struct err err;

    OK(registry_counts(p->r, &tenants, &keys, &err));
    assert_int_equal(tenants, 0);
    assert_int_equal(keys, 0);
    add_tenant(p, "acme");
    add_tenant(p, "zeta");
    add_key(p, "acme", "www", 1);
    for (int i = 0; i < 3; i++) {
        place_reopen(p);
        OK(registry_counts(p->r, &tenants, &keys, &err));
        assert_int_equal(tenants, 2);
        assert_int_equal(keys, 1);
    }
}

static void a_newer_schema_is_refused(void **state)
{
    struct place *p = *state;
    struct registry *r = NULL;
    struct db *db;
    struct err err;

    registry_close(p->r);
    p->r = NULL;
    OK(db_open(&db, p->path, &err));
    OK(db_migrate(db, "CREATE TABLE from_the_future (a INTEGER)", 99, &err));
    db_close(db);
    REFUSED(registry_open(&r, p->path, &err), ERR_STORAGE);
    assert_null(r);
    assert_non_null(strstr(err.text, "has schema version 99; keyd"));
    assert_non_null(strstr(err.hint, "a newer keyd wrote it"));
}

static void no_registry(void **state)
{
    struct place *p = *state;
    char path[400];
    struct registry *r = NULL;
    struct err err;

    snprintf(path, sizeof(path), "%s/other", p->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", f);
    fclose(f);
    REFUSED(registry_open(&r, path, &err), ERR_STORAGE);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.hint, "no registry of keyd"));
    snprintf(path, sizeof(path), "%s/no/such/folder", p->dir);
    REFUSED(registry_open(&r, path, &err), ERR_STORAGE);
    assert_null(r);
}

static void a_copy_is_a_registry(void **state)
{
    struct place *p = *state;
    char path[400];
    struct registry *r = NULL;
    uint32_t tenants = 0, keys = 0;
    struct err err;

    add_tenant(p, "acme");
    add_key(p, "acme", "www", 1);
    snprintf(path, sizeof(path), "%s/copy", p->dir);
    OK(registry_copy(p->r, path, &err));
    REFUSED(registry_copy(p->r, path, &err), ERR_STORAGE); /* it is there */
    assert_non_null(strstr(err.text, path));
    add_key(p, "acme", "later", 2);
    OK(registry_open(&r, path, &err));
    OK(registry_counts(r, &tenants, &keys, &err));
    assert_int_equal(tenants, 1);
    assert_int_equal(keys, 1);
    registry_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(reopened),
        PLACE_TEST(a_newer_schema_is_refused),
        PLACE_TEST(no_registry),
        PLACE_TEST(a_copy_is_a_registry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

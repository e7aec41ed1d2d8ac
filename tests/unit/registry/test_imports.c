/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "keyd/registry/db.h"
#include "proto/base/mem.h"

#define GOOD_S 120

static struct registry_intent import_intent(uint8_t seed)
{
    struct registry_intent i = an_intent("", "", seed);

    snprintf(i.verb, sizeof(i.verb), "import-key");
    i.purposes = 0;
    return i;
}

static struct registry_import_key an_import_key(const struct registry_intent *intent, uint8_t seed)
{
    struct registry_import_key k = {.cka_id_len = intent->cka_id_len, .spki_len = 422};

    k.id[0] = seed;
    memcpy(k.cka_id, intent->cka_id, sizeof(k.cka_id));
    memset(k.spki, seed, k.spki_len);
    return k;
}

static void add_import_key(struct place *p, uint8_t seed)
{
    struct registry_intent intent = import_intent(seed);
    struct registry_import_key key = an_import_key(&intent, seed);
    struct err err;

    OK(registry_intent_add(p->r, &intent, &err));
    OK(registry_import_commit(p->r, intent.id, &key, &err));
    assert_int_equal(key.state, REGISTRY_IMPORT_CURRENT);
    assert_true(key.created > 1700000000);
}

static struct registry_nonce a_nonce(uint8_t seed, uint8_t import_key, const char *principal)
{
    struct registry_nonce n = {.nonce = {seed}, .import_key = {import_key}};

    snprintf(n.principal, sizeof(n.principal), "%s", principal);
    return n;
}

static void run(struct place *p, const char *sql)
{
    struct db *db;
    struct err err;
    int64_t version;

    registry_close(p->r);
    OK(db_open(&db, p->path, &err));
    OK(db_version(db, &version, &err));
    OK(db_migrate(db, sql, version, &err));
    db_close(db);
    place_open(p);
}

/* ---- import keys */

static void one_is_in_force(void **state)
{
    struct place *p = *state;
    struct registry_import_key k;
    AUTO_FREE struct registry_import_key *list = NULL;
    AUTO_FREE struct registry_intent *intents = NULL;
    const uint8_t second[KEY_ID_LEN] = {2}, none[KEY_ID_LEN] = {9};
    size_t count;
    struct err err;

    REFUSED(registry_import_current(p->r, &k, &err), ERR_NOT_FOUND);
    add_import_key(p, 1);
    OK(registry_import_current(p->r, &k, &err));
    assert_int_equal(k.id[0], 1);
    assert_int_equal(k.spki_len, 422);
    assert_int_equal(k.spki[421], 1);
    add_import_key(p, 2);
    place_reopen(p);
    OK(registry_import_current(p->r, &k, &err));
    assert_int_equal(k.id[0], 2);
    OK(registry_import_list(p->r, &list, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].state, REGISTRY_IMPORT_RETIRED);
    assert_int_equal(list[1].state, REGISTRY_IMPORT_CURRENT);
    OK(registry_import_by_id(p->r, second, &k, &err));
    OK(registry_import_by_cka_id(p->r, k.cka_id, k.cka_id_len, &k, &err));
    assert_int_equal(k.id[0], 2);
    REFUSED(registry_import_by_id(p->r, none, &k, &err), ERR_NOT_FOUND);
    REFUSED(registry_import_by_cka_id(p->r, none, 18, &k, &err), ERR_NOT_FOUND);
    OK(registry_intent_list(p->r, &intents, &count, &err));
    assert_int_equal(count, 0);
}

/* Its intent is no tenant's; several stand beside each other. */
static void intents_without_a_tenant(void **state)
{
    struct place *p = *state;
    struct registry_intent a = import_intent(1), b = import_intent(2);
    struct registry_import_key key = an_import_key(&a, 1), k;
    AUTO_FREE struct registry_intent *list = NULL;
    size_t count;
    struct err err;

    OK(registry_intent_add(p->r, &a, &err));
    OK(registry_intent_add(p->r, &b, &err));
    OK(registry_intent_list(p->r, &list, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].tenant, "");
    assert_string_equal(list[0].name, "");
    assert_string_equal(list[0].verb, "import-key");
    OK(registry_intent_drop(p->r, b.id, &err));
    /* committed once, and never without its intent */
    OK(registry_import_commit(p->r, a.id, &key, &err));
    key.id[0] = 7;
    key.cka_id[0] = 7;
    REFUSED(registry_import_commit(p->r, a.id, &key, &err), ERR_NOT_FOUND);
    OK(registry_import_current(p->r, &k, &err));
    assert_int_equal(k.id[0], 1); /* nor was it retired for nothing */
}

static void the_end_of_one(void **state)
{
    struct place *p = *state;
    const uint8_t first[KEY_ID_LEN] = {1}, second[KEY_ID_LEN] = {2};
    struct registry_nonce n = a_nonce(5, 1, "operator 1000"), taken;
    bool going = true;
    struct err err;

    add_import_key(p, 1);
    OK(registry_nonce_add(p->r, &n, GOOD_S, &err));
    OK(registry_import_going(p->r, first, &going, &err));
    assert_false(going); /* it is in force */
    add_import_key(p, 2);
    OK(registry_import_going(p->r, first, &going, &err));
    assert_false(going); /* an import needs it */
    REFUSED(registry_import_drop(p->r, first, &err), ERR_NOT_FOUND);
    OK(registry_nonce_take(p->r, n.nonce, n.principal, GOOD_S, &taken, &err));
    OK(registry_import_going(p->r, second, &going, &err));
    assert_false(going);
    OK(registry_import_going(p->r, first, &going, &err));
    assert_true(going);
    place_reopen(p);
    OK(registry_import_going(p->r, first, &going, &err));
    assert_true(going); /* again, after a restart */
    OK(registry_import_drop(p->r, first, &err));
    REFUSED(registry_import_drop(p->r, first, &err), ERR_NOT_FOUND);
    REFUSED(registry_import_drop(p->r, second, &err), ERR_NOT_FOUND);
}

/* ---- nonces */

static void good_once(void **state)
{
    struct place *p = *state;
    struct registry_nonce n = a_nonce(5, 1, "operator 1000"), taken = {.principal = "untouched"};
    struct err err;

    add_import_key(p, 1);
    REFUSED(registry_nonce_take(p->r, n.nonce, n.principal, GOOD_S, &taken, &err), ERR_NOT_FOUND);
    OK(registry_nonce_add(p->r, &n, GOOD_S, &err));
    place_reopen(p); /* the custodian is replaced between */
    REFUSED(registry_nonce_take(p->r, n.nonce, "operator 1001", GOOD_S, &taken, &err),
            ERR_NOT_FOUND);
    assert_string_equal(taken.principal, "untouched");
    OK(registry_nonce_take(p->r, n.nonce, n.principal, GOOD_S, &taken, &err));
    assert_int_equal(taken.import_key[0], 1);
    assert_string_equal(taken.principal, "operator 1000");
    REFUSED(registry_nonce_take(p->r, n.nonce, n.principal, GOOD_S, &taken, &err), ERR_NOT_FOUND);
    /* of no import key at all */
    n = a_nonce(6, 9, "operator 1000");
    REFUSED(registry_nonce_add(p->r, &n, GOOD_S, &err), ERR_CONFLICT);
}

static void good_for_a_while(void **state)
{
    struct place *p = *state;
    struct registry_nonce old = a_nonce(1, 1, "x"), fresh = a_nonce(2, 1, "x"),
                          future = a_nonce(3, 1, "x"), taken;
    struct err err;

    add_import_key(p, 1);
    OK(registry_nonce_add(p->r, &old, GOOD_S, &err));
    OK(registry_nonce_add(p->r, &fresh, GOOD_S, &err));
    OK(registry_nonce_add(p->r, &future, GOOD_S, &err));
    run(p, "UPDATE import_nonces SET created = created - 121 WHERE substr(nonce, 1, 1) = x'01';"
           "UPDATE import_nonces SET created = created - 100 WHERE substr(nonce, 1, 1) = x'02';"
           "UPDATE import_nonces SET created = created + 100 WHERE substr(nonce, 1, 1) = x'03';");
    REFUSED(registry_nonce_take(p->r, old.nonce, "x", GOOD_S, &taken, &err), ERR_NOT_FOUND);
    REFUSED(registry_nonce_take(p->r, future.nonce, "x", GOOD_S, &taken, &err), ERR_NOT_FOUND);
    OK(registry_nonce_take(p->r, fresh.nonce, "x", GOOD_S, &taken, &err));
}

static void so_many_and_no_more(void **state)
{
    struct place *p = *state;
    struct registry_nonce n = a_nonce(0, 1, "greedy"), taken;
    unsigned count = 0;
    struct err err;

    add_import_key(p, 1);
    while (count < 200 && registry_nonce_add(p->r, &n, GOOD_S, &err))
        n.nonce[1] = (uint8_t)++count;
    assert_int_equal(count, 64);
    assert_int_equal(err.code, ERR_BUSY);
    assert_true(err.retry_after_ms > 0);
    assert_non_null(strstr(err.text, "64 of them yours"));
    struct registry_nonce other = a_nonce(7, 1, "other");
    OK(registry_nonce_add(p->r, &other, GOOD_S, &err));
    n.nonce[1] = 0;
    OK(registry_nonce_take(p->r, n.nonce, "greedy", GOOD_S, &taken, &err));
    OK(registry_nonce_add(p->r, &n, GOOD_S, &err));
}

/* ---- failures */

static uint32_t wait_of(struct place *p, const char *principal)
{
    uint32_t ms = 4711;
    struct err err;

    OK(registry_failure_wait(p->r, principal, 5, 1000, &ms, &err));
    return ms;
}

static void five_then_one_a_second(void **state)
{
    struct place *p = *state;
    struct err err;

    for (int i = 0; i < 5; i++) {
        assert_int_equal(wait_of(p, "x"), 0);
        OK(registry_failure_add(p->r, "x", 1000, &err));
    }
    uint32_t ms = wait_of(p, "x");
    assert_true(ms > 500 && ms <= 1000);
    assert_int_equal(wait_of(p, "y"), 0);
    place_reopen(p);
    assert_true(wait_of(p, "x") > 500);
    /* a second later */
    run(p, "UPDATE import_failures SET level_ms = level_ms - 1000;");
    assert_int_equal(wait_of(p, "x"), 0);
    OK(registry_failure_add(p->r, "x", 1000, &err));
    assert_true(wait_of(p, "x") > 0);
    /* much later he has all five again */
    run(p, "UPDATE import_failures SET level_ms = level_ms - 60000;");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wait_of(p, "x"), 0);
        OK(registry_failure_add(p->r, "x", 1000, &err));
    }
    assert_true(wait_of(p, "x") > 0);
    /* a clock that was set back by a year */
    run(p, "UPDATE import_failures SET level_ms = level_ms + 31536000000;");
    assert_int_equal(wait_of(p, "x"), 5000);
}

/* ---- what was there before */

static void an_older_registry_keeps_its_intents(void **state)
{
    struct place *p = *state;
    AUTO_FREE struct registry_intent *list = NULL;
    struct registry_intent intent = an_intent("acme", "www", 1);
    struct registry_key key = a_key(&intent, 1);
    struct db *db;
    size_t count;
    struct err err;

    /* back to version 2, as it was */
    add_tenant(p, "acme");
    registry_close(p->r);
    OK(db_open(&db, p->path, &err));
    OK(db_migrate(
        db,
        "DROP TABLE adoptions; DROP TABLE import_nonces; DROP TABLE import_keys;"
        "DROP TABLE import_failures; DROP TABLE intents; DROP VIEW key_uses; DROP TABLE grants;"
        "DROP TABLE counters; DROP TABLE tokens;"
        "CREATE VIEW key_uses (key, kind, what) AS SELECT id, '', '' FROM keys WHERE 0;"
        "ALTER TABLE keys DROP COLUMN allowed_names;"
        "CREATE TABLE intents ("
        "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),"
        "  verb TEXT NOT NULL,"
        "  tenant TEXT NOT NULL REFERENCES tenants (name),"
        "  name TEXT NOT NULL,"
        "  type INTEGER NOT NULL,"
        "  purposes INTEGER NOT NULL,"
        "  cka_id BLOB NOT NULL UNIQUE,"
        "  created BIGINT NOT NULL,"
        "  UNIQUE (tenant, name));"
        "INSERT INTO intents VALUES (x'01010101010101010101010101010101', 'keys-generate',"
        "  'acme', 'www', 4, 13, x'010101010101010101010101010101010101', 1700000001);",
        2, &err));
    db_close(db);
    place_open(p);
    OK(registry_intent_list(p->r, &list, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].tenant, "acme");
    assert_string_equal(list[0].name, "www");
    assert_int_equal(list[0].created, 1700000001);
    REFUSED(registry_intent_add(p->r, &intent, &err), ERR_EXISTS);
    OK(registry_intent_commit(p->r, intent.id, &key, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(one_is_in_force),        PLACE_TEST(intents_without_a_tenant),
        PLACE_TEST(the_end_of_one),         PLACE_TEST(good_once),
        PLACE_TEST(good_for_a_while),       PLACE_TEST(so_many_and_no_more),
        PLACE_TEST(five_then_one_a_second), PLACE_TEST(an_older_registry_keeps_its_intents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

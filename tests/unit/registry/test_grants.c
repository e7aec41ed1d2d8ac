/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registry/fixture.h"

#include "proto/base/mem.h"

static struct registry_grant grant(const char *principal, const char *group, const char *tenant,
                                   const char *key_name, uint8_t seed)
{
    struct registry_grant g = {.purposes = PURPOSE_TLS13_SERVER};

    snprintf(g.principal, sizeof(g.principal), "%s", principal);
    snprintf(g.group, sizeof(g.group), "%s", group);
    snprintf(g.tenant, sizeof(g.tenant), "%s", tenant);
    snprintf(g.key_name, sizeof(g.key_name), "%s", key_name);
    g.key[0] = seed;
    return g;
}

static struct place *furnished(void **state)
{
    struct place *p = *state;

    add_tenant(p, "acme");
    add_tenant(p, "globex");
    add_key(p, "acme", "www", 1);
    return p;
}

static size_t count(struct place *p)
{
    AUTO_FREE struct registry_grant *list = NULL;
    struct err err;
    size_t n = 0;

    OK(registry_grant_list(p->r, &list, &n, &err));
    return n;
}

static void added_and_listed(void **state)
{
    struct place *p = furnished(state);
    struct registry_grant a = grant("fe", "", "acme", "www", 1);
    struct registry_grant b = grant("", "edge", "globex", "", 0);
    AUTO_FREE struct registry_grant *list = NULL;
    struct err err;
    size_t n = 0;

    OK(registry_grant_add(p->r, &a, &err));
    OK(registry_grant_add(p->r, &b, &err));
    assert_true(a.id > 0 && b.id > a.id && a.created > 1700000000);
    place_reopen(p);
    OK(registry_grant_list(p->r, &list, &n, &err));
    assert_int_equal(n, 2);
    assert_memory_equal(&list[0], &a, sizeof(a));
    assert_memory_equal(&list[1], &b, sizeof(b));
}

/* The same subject on the same object is the same grant; any other is another. */
static void the_same_one_is_replaced(void **state)
{
    struct place *p = furnished(state);
    struct registry_grant rows[] = {
        grant("fe", "", "acme", "www", 1), grant("", "fe", "acme", "www", 1),
        grant("fe", "", "acme", "", 0),    grant("fe", "", "globex", "", 0),
        grant("f", "", "acme", "www", 1),
    };
    struct err err;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        OK(registry_grant_add(p->r, &rows[i], &err));
        assert_int_equal(count(p), i + 1);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t id = rows[i].id;

        rows[i].purposes = PURPOSES_TLS;
        OK(registry_grant_add(p->r, &rows[i], &err));
        assert_true(rows[i].id == id);
        assert_int_equal(rows[i].purposes, PURPOSES_TLS);
        assert_int_equal(count(p), 5);
    }
}

static void what_is_refused(void **state)
{
    struct place *p = furnished(state);
    struct registry_grant unknown = grant("fe", "", "initech", "", 0);
    struct registry_grant nobody = grant("", "", "acme", "", 0);
    struct registry_grant both = grant("fe", "edge", "acme", "", 0);
    struct registry_grant no_key = grant("fe", "", "acme", "www", 9);
    struct registry_grant was;
    struct err err;

    REFUSED(registry_grant_add(p->r, &unknown, &err), ERR_NOT_FOUND);
    assert_false(registry_grant_add(p->r, &nobody, &err));
    assert_false(registry_grant_add(p->r, &both, &err));
    assert_false(registry_grant_add(p->r, &no_key, &err)); /* the id of no key */
    REFUSED(registry_grant_remove(p->r, 1, &was, &err), ERR_NOT_FOUND);
    assert_int_equal(count(p), 0);
}

/* An id is never used again, not even after the last one was removed. */
static void removed(void **state)
{
    struct place *p = furnished(state);
    struct registry_grant g = grant("fe", "", "acme", "www", 1), was;
    struct err err;
    uint64_t last = 0;

    for (int i = 0; i < 3; i++) {
        OK(registry_grant_add(p->r, &g, &err));
        assert_true(g.id > last);
        last = g.id;
        OK(registry_grant_remove(p->r, g.id, &was, &err));
        assert_memory_equal(&was, &g, sizeof(g));
        assert_int_equal(count(p), 0);
        place_reopen(p);
    }
}

static void a_granted_key_is_in_use(void **state)
{
    struct place *p = furnished(state);
    struct registry_grant g = grant("fe", "", "acme", "www", 1), was;
    struct registry_grant all = grant("fe", "", "acme", "", 0);
    struct registry_key key;
    struct err err;

    OK(registry_key_find(p->r, "acme/www", "", &key, &err));
    OK(registry_grant_add(p->r, &all, &err)); /* on the tenant: no use of the key */
    OK(registry_key_unused(p->r, &key, &err));
    OK(registry_grant_add(p->r, &g, &err));
    REFUSED(registry_key_unused(p->r, &key, &err), ERR_CONFLICT);
    OK(registry_grant_remove(p->r, g.id, &was, &err));
    OK(registry_key_unused(p->r, &key, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(added_and_listed),        PLACE_TEST(the_same_one_is_replaced),
        PLACE_TEST(what_is_refused),         PLACE_TEST(removed),
        PLACE_TEST(a_granted_key_is_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

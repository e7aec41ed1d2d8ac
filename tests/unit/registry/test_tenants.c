/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static void added_and_found(void **state)
{
    struct place *p = *state;
    struct registry_tenant t = {.name = ""};
    struct err err;

    OK(registry_tenant_add(p->r, "acme", &t, &err));
    assert_string_equal(t.name, "acme");
    assert_int_equal(t.keys, 0);
    assert_true(t.created > 1700000000);
    add_key(p, "acme", "www", 1);
    add_key(p, "acme", "mail", 2);
    place_reopen(p);
    struct registry_tenant again;
    OK(registry_tenant_find(p->r, "acme", &again, &err));
    assert_int_equal(again.keys, 2);
    assert_int_equal(again.created, t.created);
}

static void names_are_checked(void **state)
{
    static const char *const no[] = {"", "Acme", "-a", "a/b", "a b", ".a", "acme\n", "ü"};
    struct place *p = *state;
    struct registry_tenant t = {.keys = 77};
    struct err err;

    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        REFUSED(registry_tenant_add(p->r, no[i], &t, &err), ERR_BAD_REQUEST);
        REFUSED(registry_tenant_find(p->r, no[i], &t, &err), ERR_BAD_REQUEST);
    }
    assert_int_equal(t.keys, 77);
}

static void twice_is_refused(void **state)
{
    struct place *p = *state;
    struct registry_tenant t;
    struct err err;

    OK(registry_tenant_add(p->r, "acme", &t, &err));
    for (int i = 0; i < 2; i++) {
        REFUSED(registry_tenant_add(p->r, "acme", &t, &err), ERR_EXISTS);
        assert_string_equal(err.text, "the tenant acme is there already");
    }
    OK(registry_tenant_add(p->r, "acme2", &t, &err));
}

static void unknown_says_how_to_make_it(void **state)
{
    struct place *p = *state;
    struct registry_tenant t;
    struct err err;

    REFUSED(registry_tenant_find(p->r, "nobody", &t, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "there is no tenant nobody");
    assert_string_equal(err.hint,
                        "keydctl tenants-list; an operator makes one: keydctl tenants-add nobody");
}

static void pages(void **state)
{
    static const char *const names[] = {"d", "a", "c", "e", "b"};
    struct place *p = *state;
    struct registry_tenant rows[3];
    size_t count = 77;
    bool more = false;
    struct err err;

    OK(registry_tenant_list(p->r, "", rows, 3, &count, &more, &err));
    assert_int_equal(count, 0);
    assert_false(more);
    for (size_t i = 0; i < 5; i++)
        add_tenant(p, names[i]);
    OK(registry_tenant_list(p->r, "", rows, 3, &count, &more, &err));
    assert_int_equal(count, 3);
    assert_true(more);
    assert_string_equal(rows[0].name, "a");
    assert_string_equal(rows[2].name, "c");
    OK(registry_tenant_list(p->r, rows[2].name, rows, 3, &count, &more, &err));
    assert_int_equal(count, 2);
    assert_false(more);
    assert_string_equal(rows[1].name, "e");
    OK(registry_tenant_list(p->r, "b", rows, 3, &count, &more, &err)); /* exactly full */
    assert_int_equal(count, 3);
    assert_false(more);
    OK(registry_tenant_list(p->r, "zzz", rows, 3, &count, &more, &err));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(added_and_found),
        PLACE_TEST(names_are_checked),
        PLACE_TEST(twice_is_refused),
        PLACE_TEST(unknown_says_how_to_make_it),
        PLACE_TEST(pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registry/fixture.h"

#include "proto/base/mem.h"

static struct registry_token token(uint8_t seed, const char *name, const char *tenant)
{
    struct registry_token t = {.role = *tenant ? 4 : 32, .expires = 4102444800};

    memset(t.hash, seed, sizeof(t.hash));
    snprintf(t.name, sizeof(t.name), "%s", name);
    snprintf(t.tenant, sizeof(t.tenant), "%s", tenant);
    return t;
}

static size_t list(struct place *p, struct registry_token *first)
{
    AUTO_FREE struct registry_token *rows = NULL;
    struct err err;
    size_t n = 0;

    OK(registry_token_list(p->r, &rows, &n, &err));
    if (n)
        *first = rows[0];
    return n;
}

static void added_and_listed(void **state)
{
    struct place *p = *state;
    struct registry_token b = token(0xbb, "ci", "acme"), a = token(0x0a, "eyes", ""), first;
    struct err err;

    add_tenant(p, "acme");
    OK(registry_token_add(p->r, &b, &err));
    OK(registry_token_add(p->r, &a, &err));
    assert_string_equal(b.id, "bbbbbbbb");
    assert_true(a.created > 1700000000);
    place_reopen(p);
    assert_int_equal(list(p, &first), 2);
    assert_memory_equal(&first, &a, sizeof(a)); /* by id */
}

static void what_is_refused(void **state)
{
    struct place *p = *state;
    struct registry_token a = token(1, "ci", ""), same_id = token(1, "ci", ""), first;
    struct registry_token unknown = token(2, "ci", "acme");
    struct err err;

    OK(registry_token_add(p->r, &a, &err));
    REFUSED(registry_token_add(p->r, &a, &err), ERR_EXISTS);
    same_id.hash[31] = 7; /* another hash, the same first four bytes */
    REFUSED(registry_token_add(p->r, &same_id, &err), ERR_EXISTS);
    REFUSED(registry_token_add(p->r, &unknown, &err), ERR_NOT_FOUND);
    assert_int_equal(list(p, &first), 1);
}

/* Of another tenant, or of nobody's tenant, it is as if it were not there. */
static void removed_within_a_tenant(void **state)
{
    struct place *p = *state;
    struct registry_token a = token(1, "ci", "acme"), b = token(2, "eyes", ""), was = {.role = 77};
    struct err here, nowhere, err;

    add_tenant(p, "acme");
    add_tenant(p, "globex");
    OK(registry_token_add(p->r, &a, &err));
    OK(registry_token_add(p->r, &b, &err));
    REFUSED(registry_token_remove(p->r, a.id, "globex", &was, &err), ERR_NOT_FOUND);
    here = err;
    REFUSED(registry_token_remove(p->r, "0badc0de", "globex", &was, &err), ERR_NOT_FOUND);
    nowhere = err;
    assert_string_equal(here.hint, nowhere.hint);
    assert_memory_equal(here.text, nowhere.text, strlen("there is no token "));
    REFUSED(registry_token_remove(p->r, b.id, "acme", &was, &err), ERR_NOT_FOUND);
    REFUSED(registry_token_remove(p->r, "0101010", "", &was, &err), ERR_NOT_FOUND);
    REFUSED(registry_token_remove(p->r, "%", "", &was, &err), ERR_NOT_FOUND);
    assert_int_equal(was.role, 77);
    OK(registry_token_remove(p->r, a.id, "acme", &was, &err));
    assert_memory_equal(&was, &a, sizeof(a));
    OK(registry_token_remove(p->r, b.id, "", &was, &err));
    assert_int_equal(list(p, &was), 0);
}

static void used(void **state)
{
    struct place *p = *state;
    struct registry_token a = token(1, "ci", ""), first;
    struct err err;

    OK(registry_token_add(p->r, &a, &err));
    assert_int_equal(list(p, &first), 1);
    assert_true(first.last_used == 0);
    OK(registry_token_used(p->r, a.hash, &err));
    list(p, &first);
    assert_true(first.last_used >= a.created);
    a.hash[0] ^= 1;
    OK(registry_token_used(p->r, a.hash, &err)); /* one that is not there is no error */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(added_and_listed),
        PLACE_TEST(what_is_refused),
        PLACE_TEST(removed_within_a_tenant),
        PLACE_TEST(used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

static const envelope *list(const char *after, size_t *ret_count)
{
    Keyd__V1__TenantsList body = KEYD__V1__TENANTS_LIST__INIT;
    REQUEST(e, TENANTS_LIST, tenants_list, &body);

    body.after = (char *)after;
    const envelope *answer = rig_call(&e, KEYD__V1__ENVELOPE__BODY_TENANTS_LIST_REPLY);
    *ret_count = answer->tenants_list_reply->n_tenants;
    return answer;
}

static void added_and_listed(void **state)
{
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(e, TENANTS_ADD, tenants_add, &body);
    size_t count;

    (void)state;
    rig_serve();
    list("", &count);
    assert_int_equal(count, 0);
    body.tenant = (char *)"acme";
    const Keyd__V1__Tenant *t =
        rig_call(&e, KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY)->tenants_add_reply->tenant;
    assert_string_equal(t->name, "acme");
    assert_int_equal(t->keys, 0);
    assert_true(t->created > 1700000000);
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig_tenant("zeta");
    const envelope *a = list("", &count);
    assert_int_equal(count, 2);
    assert_string_equal(a->tenants_list_reply->tenants[0]->name, "acme");
    assert_int_equal(a->tenants_list_reply->tenants[0]->keys, 1);
    assert_string_equal(a->tenants_list_reply->tenants[1]->name, "zeta");
    assert_string_equal(a->tenants_list_reply->next, "");
    rig_stop();
}

static void names_are_refused(void **state)
{
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(e, TENANTS_ADD, tenants_add, &body);

    (void)state;
    rig_serve();
    rig_refused(&e, ERR_BAD_REQUEST, "tenant"); /* empty */
    body.tenant = (char *)"No Name";
    rig_refused(&e, ERR_BAD_REQUEST, "No Name");
    rig_tenant("acme");
    body.tenant = (char *)"acme";
    rig_refused(&e, ERR_EXISTS, "the tenant acme is there already");
    rig_stop();
}

static bool add_600(struct token *t, struct registry *r, struct err *err)
{
    struct registry_tenant row;
    char name[16];

    (void)t;
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "t%03d", i);
        TRY(registry_tenant_add(r, name, &row, err));
    }
    return true;
}

static void pages(void **state)
{
    size_t count;

    (void)state;
    rig_with_token(add_600);
    rig_serve();
    const Keyd__V1__TenantsListReply *page = list("", &count)->tenants_list_reply;
    assert_int_equal(count, 500);
    assert_string_equal(page->next, "t499");
    page = list("t499", &count)->tenants_list_reply;
    assert_int_equal(count, 100);
    assert_string_equal(page->tenants[0]->name, "t500");
    assert_string_equal(page->next, "");
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(added_and_listed),
        RIG_TEST(names_are_refused),
        RIG_TEST(pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

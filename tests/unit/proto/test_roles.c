/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/roles.h"

#include "proto/keyd.pb-c.h"
#include "tests/unit/test.h"

static void names_there_and_back(void **state)
{
    unsigned bits = 0;

    (void)state;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        enum role role = role_at(i);

        assert_int_equal(bits & role, 0); /* each is a bit of its own */
        bits |= role;
        assert_int_equal(role_by_name(role_name(role)), role);
    }
    assert_int_equal(bits, 63);
    assert_int_equal(role_at(ROLE_COUNT), ROLE_NONE);
}

static void what_is_no_role(void **state)
{
    static const char *const bad[] = {"", "none", "Operator", "operator ", "frontends"};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(role_by_name(bad[i]), ROLE_NONE);
    assert_string_equal(role_name(ROLE_NONE), "none");
    assert_string_equal(role_name((enum role)3), "none"); /* two bits are not two roles */
    assert_string_equal(role_name((enum role)64), "none");
}

static void numbers_as_on_the_wire(void **state)
{
    (void)state;
    assert_int_equal(ROLE_OPERATOR, KEYD__V1__ROLE__ROLE_OPERATOR);
    assert_int_equal(ROLE_FRONTEND, KEYD__V1__ROLE__ROLE_FRONTEND);
    assert_int_equal(ROLE_TENANT, KEYD__V1__ROLE__ROLE_TENANT);
    assert_int_equal(ROLE_AGENT, KEYD__V1__ROLE__ROLE_AGENT);
    assert_int_equal(ROLE_ISSUER, KEYD__V1__ROLE__ROLE_ISSUER);
    assert_int_equal(ROLE_AUDITOR, KEYD__V1__ROLE__ROLE_AUDITOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_there_and_back),
        cmocka_unit_test(what_is_no_role),
        cmocka_unit_test(numbers_as_on_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

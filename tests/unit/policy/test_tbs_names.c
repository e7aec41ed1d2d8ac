/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/policy/tbs_names.h"
#include "tests/unit/test.h"

static bool allowed(const char *pattern, const char *name)
{
    const struct tbs_names one = {&pattern, 1};

    return tbs_name_allowed(&one, (const uint8_t *)name, strlen(name));
}

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool yes;
    } cases[] = {
        {"www.example.com", "www.example.com", true},
        {"www.example.com", "WWW.Example.COM", true},
        {"WWW.EXAMPLE.COM", "www.example.com", true},
        {"www.example.com", "www.example.com.", false},
        {"www.example.com", "ww.example.com", false},
        {"www.example.com", "xwww.example.com", false},
        {"www.example.com", "a.www.example.com", false},
        {"www.example.com", "*.example.com", false},
        {"*.example.com", "a.example.com", true},
        {"*.example.com", "*.example.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "a.b.example.com", false},
        {"*.example.com", "*.b.example.com", false},
        {"*.example.com", "aexample.com", false},
        {".example.com", "a.example.com", true},
        {".example.com", "a.b.example.com", true},
        {".example.com", "*.b.example.com", true},
        {".example.com", "example.com", false},
        {".example.com", ".example.com", false},
        {".example.com", "aexample.com", false},
        {".example.com", "a..example.com", false},
        {".example.com", "a.*.example.com", false},
        {".example.com", "a*.example.com", false},
        {".example.com", "-a.example.com", false},
        {".example.com", "a-.example.com", false},
        {".example.com", "a_b.example.com", false},
        {".example.com", "a b.example.com", false},
        {".example.com", "\xc3\xbc.example.com", false},
        {".example.com", "xn--tda.example.com", true},
        {".example.com", "", false},
        {".example.com", "*", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (allowed(cases[i].pattern, cases[i].name) != cases[i].yes)
            fail_msg("%s, %s", cases[i].pattern, cases[i].name);
}

static void zero_bytes(void **state)
{
    static const char *const one[] = {".example.com"};
    const struct tbs_names names = {one, 1};

    (void)state;
    assert_true(tbs_name_allowed(&names, (const uint8_t *)"a.example.com", 13));
    assert_false(tbs_name_allowed(&names, (const uint8_t *)"\0.example.com", 13));
    assert_false(tbs_name_allowed(&names, (const uint8_t *)"evil.test\0.example.com", 22));
    assert_false(tbs_name_allowed(&names, (const uint8_t *)"a.example.com\0", 14));
}

static void lengths(void **state)
{
    char label[64 + 13 + 1], whole[300];

    (void)state;
    memset(label, 'a', 64);
    memcpy(label + 64, ".example.com", 13);
    assert_false(allowed(".example.com", label));
    assert_true(allowed(".example.com", label + 1));
    for (size_t n = 0; n < 241; n++)
        whole[n] = n % 2 ? '.' : 'a';
    memcpy(whole + 241, ".example.com", 13);
    assert_int_equal(strlen(whole), 253);
    assert_true(allowed(".example.com", whole));
    memcpy(whole + 243, ".example.com", 13);
    memcpy(whole + 241, ".a", 2);
    assert_int_equal(strlen(whole), 255);
    assert_false(allowed(".example.com", whole));
}

static void any_of_them(void **state)
{
    static const char *const some[] = {"a.test", "*.b.test"};
    const struct tbs_names names = {some, 2}, any = {0};

    (void)state;
    assert_true(tbs_name_allowed(&names, (const uint8_t *)"a.test", 6));
    assert_true(tbs_name_allowed(&names, (const uint8_t *)"x.b.test", 8));
    assert_false(tbs_name_allowed(&names, (const uint8_t *)"c.test", 6));
    assert_true(tbs_name_allowed(&any, (const uint8_t *)"c.test", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(zero_bytes),
        cmocka_unit_test(lengths),
        cmocka_unit_test(any_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

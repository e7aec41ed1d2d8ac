/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/unit/token/fixture.h"

#define MODULE "module-path=/usr/lib/m.so"

static const struct {
    const char *uri, *word; /* word of the error; NULL: accepted */
} uris[] = {
    {"pkcs11:token=keyd?" MODULE, NULL},
    {"pkcs11:serial=0123?" MODULE, NULL},
    {"pkcs11:slot-id=7?" MODULE, NULL},
    {"pkcs11:token=a%20b;serial=1;manufacturer=x;model=y?" MODULE "&pin-source=file:/p", NULL},
    {"pkcs11:token=keyd?pin-source=/p&" MODULE, NULL},

    {"", "no RFC 7512"},
    {"file:/usr/lib/m.so", "no RFC 7512"},
    {"http://token=keyd?" MODULE, "no RFC 7512"},
    {"pkcs11:token=%zz?" MODULE, "no RFC 7512"},
    {"pkcs11:token?" MODULE, "no RFC 7512"},
    {"pkcs11:slot-id=x?" MODULE, "no RFC 7512"},
    {"pkcs11:token=keyd", "module-path"},
    {"pkcs11:token=keyd?module-name=softhsm2", "module-path"},
    {"pkcs11:token=keyd?module-path=m.so", "module-path"},
    {"pkcs11:token=keyd?module-path=", "module-path"},
    {"pkcs11:?" MODULE, "selects no token"},
    {"pkcs11:token=?" MODULE, "selects no token"},
    {"pkcs11:model=SoftHSM%20v2?" MODULE, "selects no token"},
    {"pkcs11:manufacturer=x?" MODULE, "selects no token"},
    {"pkcs11:token=keyd?" MODULE "&pin-value=1234", "holds a PIN"},
    {"pkcs11:token=keyd;object=key?" MODULE, "selects no token"},
    {"pkcs11:token=keyd;type=private?" MODULE, "selects no token"},
    {"pkcs11:token=keyd;id=%01?" MODULE, "selects no token"},
    {"pkcs11:tokn=keyd;token=x?" MODULE, "selects no token"},
};

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        struct err err = {0};
        bool ok = token_uri_check(uris[i].uri, &err);

        if (!uris[i].word)
            must(ok, &err);
        else if (ok)
            fail_msg("accepted: %s", uris[i].uri);
        else
            must_fail(ok, &err, ERR_BAD_REQUEST, uris[i].word);
        if (!ok)
            assert_true(err.hint[0] != 0);
    }
}

static void test_errors_show_no_pin(void **state)
{
    static const char *const with_pin[] = {
        "pkcs11:token=keyd?" MODULE "&pin-value=swordfish",
        "pkcs11:token=%zz?" MODULE "&pin-value=swordfish",
        "pkcs11:?pin-value=swordfish",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(with_pin) / sizeof(with_pin[0]); i++) {
        struct err err = {0};

        assert_false(token_uri_check(with_pin[i], &err));
        assert_null(strstr(err.text, "swordfish"));
        assert_null(strstr(err.hint, "swordfish"));
    }
}

#define WITH "pkcs11:token=keyd?" MODULE "&pin-source="

static const struct {
    const char *uri, *path; /* NULL: refused */
} sources[] = {
    {WITH "file:/var/lib/keyd/user.pin", "/var/lib/keyd/user.pin"},
    {WITH "file:///var/lib/keyd/user.pin", "/var/lib/keyd/user.pin"},
    {WITH "file://localhost/p", "/p"},
    {WITH "/var/lib/keyd/user.pin", "/var/lib/keyd/user.pin"},
    {WITH "file:/my%20pin%26x", "/my pin&x"},
    {WITH "/dev/fd/3", "/dev/fd/3"},

    {"pkcs11:token=keyd?" MODULE, NULL},
    {WITH, NULL},
    {WITH "user.pin", NULL},
    {WITH "file:user.pin", NULL},
    {WITH "file://host/user.pin", NULL},
    {WITH "%7Ccat%20/pin", NULL},
    {WITH "http://x/pin", NULL},
    {WITH "/0123456789012345678901234567890123456789", NULL}, /* longer than the room */
    {"pkcs11:?pin-source=/p", NULL},
};

static void test_pin_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        char path[32] = "untouched";
        struct err err = {0};
        bool ok = token_uri_pin_source(sources[i].uri, path, sizeof(path), &err);

        if (sources[i].path) {
            must(ok, &err);
            assert_string_equal(path, sources[i].path);
        } else {
            must_fail(ok, &err, ERR_BAD_REQUEST, "");
            assert_string_equal(path, "untouched");
        }
    }
}

static void test_module_dir(void **state)
{
    static const struct {
        const char *uri, *path; /* NULL: refused */
    } cases[] = {
        {"pkcs11:token=keyd?" MODULE, "/usr/lib"},
        {"pkcs11:token=keyd?module-path=/m.so", "/"},
        {"pkcs11:token=keyd?module-path=/opt/my%20hsm/lib/m.so", "/opt/my hsm/lib"},
        {"pkcs11:token=keyd", NULL},
        {"pkcs11:token=keyd?module-path=/0123456789/0123456789/0123456789/m.so", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[32] = "untouched";
        struct err err = {0};
        bool ok = token_uri_module_dir(cases[i].uri, path, sizeof(path), &err);

        if (cases[i].path)
            must(ok, &err);
        else
            must_fail(ok, &err, ERR_BAD_REQUEST, "module-path");
        assert_string_equal(path, cases[i].path ? cases[i].path : "untouched");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_errors_show_no_pin),
        cmocka_unit_test(test_pin_source),
        cmocka_unit_test(test_module_dir),
    };

    return cmocka_run_group_tests_name("token/uri", tests, NULL, NULL);
}

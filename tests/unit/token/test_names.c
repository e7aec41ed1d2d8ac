/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/names.h"
#include "tests/unit/token/fixture.h"

static const struct {
    enum names_kind kind;
    CK_ULONG value;
    const char *name; /* as names_text gives it */
    int known;
} cases[] = {
    {NAMES_RESULT, 0x0, "CKR_OK", 1},
    {NAMES_RESULT, 0x31, "CKR_DEVICE_MEMORY", 1},
    {NAMES_RESULT, 0xe1, "CKR_TOKEN_NOT_RECOGNIZED", 1},
    {NAMES_RESULT, 0x80000001, "CKR_0x80000001", 0},
    {NAMES_CLASS, 0x3, "CKO_PRIVATE_KEY", 1},
    {NAMES_CLASS, 0x99, "CKO_0x00000099", 0},
    {NAMES_KEY_TYPE, 0x3, "CKK_EC", 1},
    {NAMES_KEY_TYPE, 0x40, "CKK_EC_EDWARDS", 1},
    {NAMES_KEY_TYPE, 0x77, "CKK_0x00000077", 0},
    {NAMES_ATTRIBUTE, 0x102, "CKA_ID", 1},
    {NAMES_ATTRIBUTE, 0x180, "CKA_EC_PARAMS", 1},
    {NAMES_ATTRIBUTE, 0x40000600, "CKA_ALLOWED_MECHANISMS", 1},
    {NAMES_ATTRIBUTE, 0xce5, "CKA_0x00000ce5", 0},
    {NAMES_MECHANISM, 0x1041, "CKM_ECDSA", 1},
    {NAMES_MECHANISM, 0x1040, "CKM_EC_KEY_PAIR_GEN", 1},
    {NAMES_MECHANISM, 0x44, "CKM_SHA384_RSA_PKCS_PSS", 1},
    {NAMES_MECHANISM, 0x210b, "CKM_AES_KEY_WRAP_KWP", 1},
    {NAMES_MECHANISM, 0xffff, "CKM_0x0000ffff", 0},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[NAMES_TEXT_MAX];
        const char *found = names_find(cases[i].kind, cases[i].value);

        assert_string_equal(names_text(cases[i].kind, cases[i].value, buf), cases[i].name);
        if (cases[i].known)
            assert_string_equal(found, cases[i].name);
        else
            assert_null(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

    return cmocka_run_group_tests_name("token/names", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

static void figures_and_words(void **state)
{
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[0], 0);
    rig_tenant("acme");
    rig_tenant("zeta");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[0], 2);
    assert_int_equal(figures[1], 1);
    assert_int_equal(figures[2], 0);
    assert_non_null(strstr(words, "keyd test\n"));
    assert_non_null(strstr(words, "SoftHSM"));
    assert_non_null(strstr(words, SOFTHSM_MODULE));
    assert_non_null(strstr(words, "rsa-2048\nrsa-3072\nrsa-4096\nec-p256\nec-p384\ned25519\n"));
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(figures_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "keyd/custodian/internal.h"

static void sentences(void **state)
{
    static const struct {
        struct bench_point points[4];
        size_t count;
        uint32_t cores;
        const char *want;
    } rows[] = {
        {{{1, 100}, {2, 190}},
         2,
         2,
         "ec-p256: 2 signers pay: 1.9 x one; another would not: keyd may use 2 cores"},
        {{{1, 100}, {2, 190}},
         2,
         8,
         "ec-p256: 2 signers pay: 1.9 x one; another may pay too: keyd may use 8 cores ([keyd] "
         "signers)"},
        {{{1, 100}, {2, 105}}, 2, 2, "ec-p256: 1 signer is enough; all 2 together make no more"},
        {{{1, 100}, {2, 200}, {3, 205}, {4, 190}},
         4,
         2,
         "ec-p256: 2 signers pay: 2.0 x one; all 4 together make no more"},
        {{{1, 100}, {2, 100}, {3, 100}, {4, 300}},
         4,
         4,
         "ec-p256: 4 signers pay: 3.0 x one; another would not: keyd may use 4 cores"},
        {{{1, 100}}, 1, 1, "ec-p256: only 1 signer runs; another would not: keyd may use 1 core"},
        {{{1, 100}},
         1,
         4,
         "ec-p256: only 1 signer runs; another may pay too: keyd may use 4 cores ([keyd] "
         "signers)"},
    };
    char text[240];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        bench_advice("ec-p256", rows[i].points, rows[i].count, rows[i].cores, text, sizeof(text));
        assert_string_equal(text, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sentences)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

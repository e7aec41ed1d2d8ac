/* SPDX-License-Identifier: Apache-2.0
 *
 * All that a thief with a frontend's rights would like to have signed (tests/thief), refused, each
 * for its own reason.
 */
#include <stdio.h>
#include <stdlib.h>

#include "keyd/policy/tbs.h"
#include "tests/unit/test.h"

#define MESSAGE_MAX 70000

static size_t read_message(const char *name, uint8_t *m)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", THIEF, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(m, 1, MESSAGE_MAX, f);
    assert_true(feof(f));
    fclose(f);
    return n;
}

static void nothing_is_signed(void **state)
{
    static uint8_t m[MESSAGE_MAX];
    FILE *table = fopen(THIEF "/table", "r");
    char line[512];
    int count = 0;

    (void)state;
    assert_non_null(table);
    for (; fgets(line, sizeof(line), table); count++) {
        char *why = strchr(line, '\t');
        struct err err = {.code = ERR_NONE};
        assert_non_null(why);
        *why++ = '\0';
        why[strcspn(why, "\n")] = '\0';
        size_t n = read_message(line, m);
        if (tbs_recognise(m, n, &err) != 0)
            fail_msg("%s is taken for a handshake", line);
        assert_int_equal(err.code, ERR_BAD_SHAPE);
        if (!strstr(err.text, why))
            fail_msg("%s: \"%s\", not \"%s\"", line, err.text, why);
    }
    fclose(table);
    assert_true(count >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_signed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

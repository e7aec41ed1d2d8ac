/* SPDX-License-Identifier: Apache-2.0
 *
 * Refusals are all counted, and the log has one line for a burst.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "keyd/gate/refusals.h"

static void test_counts(void **state)
{
    struct refusals r = {0};
    char name[96];
    uint64_t count;

    (void)state;
    assert_false(refusal_at(&r, 0, name, sizeof(name), &count));
    r.rows[REFUSAL_NOT_TLS].count = 3;
    r.rows[REFUSAL_TOKEN].count = 1;
    refusal_count(&r, REFUSAL_OVERSIZE);
    refusal_count(&r, REFUSAL_OVERSIZE);
    refusal_add_sign(&r, ERR_BAD_SHAPE);
    refusal_add_sign(&r, ERR_BAD_SHAPE);
    refusal_add_sign(&r, ERR_BUSY);
    refusal_add_sign(&r, (enum err_code)4711); /* of no use, and no harm */
    static const struct {
        const char *name;
        uint64_t count;
    } wanted[] = {
        {"not TLS", 3},         {"API token not good", 1}, {"a frame larger than may be", 2},
        {"sign: BAD_SHAPE", 2}, {"sign: BUSY", 1},
    };
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_true(refusal_at(&r, i, name, sizeof(name), &count));
        assert_string_equal(name, wanted[i].name);
        assert_int_equal(count, wanted[i].count);
    }
    assert_false(refusal_at(&r, COUNT(wanted), name, sizeof(name), &count));
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < REFUSALS; i++)
        assert_non_null(refusal_name((enum refusal)i));
}

/* What refusal_add writes to stderr. */
static char *logged(struct refusals *r, unsigned times)
{
    static char text[8192];
    int ends[2], old = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    for (unsigned i = 0; i < times; i++)
        refusal_add(r, REFUSAL_STALLED, "192.0.2.7:4711", "why");
    dup2(old, STDERR_FILENO);
    close(old);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void test_bursts(void **state)
{
    struct refusals r = {0};

    (void)state;
    const char *text = logged(&r, 1000);
    assert_contains(text, "refused: no hello in time: 192.0.2.7:4711: why");
    assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text)); /* one line */
    assert_int_equal(r.rows[REFUSAL_STALLED].count, 1000);
    r.rows[REFUSAL_STALLED].quiet = 0; /* a minute later */
    assert_contains(logged(&r, 1), "(and 999 more like this before)");
    r.rows[REFUSAL_STALLED].quiet = 0;
    assert_null(strstr(logged(&r, 1), "more like this"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bursts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "proto/base/err.h"
#include "tests/unit/test.h"

static void holds_code_text_and_hint(void **state)
{
    struct err err;

    (void)state;
    assert_false(err_set(&err, ERR_EXISTS, "tenant \"%s\" exists", "acme"));
    assert_false(err_hint(&err, "choose another name"));
    assert_false(err_retry(&err, 5));
    assert_int_equal(err.code, ERR_EXISTS);
    assert_string_equal(err.text, "tenant \"acme\" exists");
    assert_string_equal(err.hint, "choose another name");
    assert_int_equal(err.retry_after_ms, 5);
    err_set(&err, ERR_BUSY, "again");
    assert_string_equal(err.hint, "");
    assert_int_equal(err.retry_after_ms, 0);
}

static void adds_context_before(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, ERR_STORAGE, "no space");
    err_hint(&err, "free some");
    err_prefix(&err, "key %d", 7);
    assert_string_equal(err.text, "key 7: no space");
    assert_string_equal(err.hint, "free some");
    assert_int_equal(err.code, ERR_STORAGE);
}

static void may_be_built_from_itself(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, ERR_TOKEN, "inner");
    err_set(&err, ERR_INTERNAL, "outer: %s", err.text);
    assert_string_equal(err.text, "outer: inner");
}

static void cuts_what_is_too_long(void **state)
{
    struct err err;
    char big[1000];

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    err_set(&err, ERR_INTERNAL, "%s", big);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_prefix(&err, "%s", big);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void speaks_errno_in_words(void **state)
{
    struct err err;

    (void)state;
    err_errno(&err, ERR_STORAGE, ENOENT, "cannot open %s", "/x");
    assert_string_equal(err.text, "cannot open /x: No such file or directory");
}

static void knows_classes_and_names(void **state)
{
    static const struct {
        enum err_code code;
        enum err_class class;
        const char *name;
    } rows[] = {
        {ERR_NONE, ERR_CLASS_NONE, "NONE"},
        {ERR_BAD_REQUEST, ERR_CLASS_REFUSED, "BAD_REQUEST"},
        {ERR_TOO_LARGE, ERR_CLASS_REFUSED, "TOO_LARGE"},
        {ERR_BUSY, ERR_CLASS_RETRY, "BUSY"},
        {ERR_UNAVAILABLE, ERR_CLASS_RETRY, "UNAVAILABLE"},
        {ERR_INTERNAL, ERR_CLASS_FAULT, "INTERNAL"},
        {ERR_STORAGE, ERR_CLASS_FAULT, "STORAGE"},
        {(enum err_code)99, ERR_CLASS_FAULT, "UNKNOWN"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(err_class(rows[i].code), rows[i].class);
        assert_string_equal(err_name(rows[i].code), rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_code_text_and_hint), cmocka_unit_test(adds_context_before),
        cmocka_unit_test(may_be_built_from_itself), cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(speaks_errno_in_words),    cmocka_unit_test(knows_classes_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/probe.h"

#include <dlfcn.h>
#include <string.h>

#include "keyd/token/internal.h"
#include "tests/mock-token/lies.h"
#include "tests/unit/token/fixture.h"

static struct lies *lies;
static struct token *token;

static int open_token(void **state)
{
    void *lib = dlopen(MOCK_MODULE, RTLD_NOW);

    assert_non_null(lib);
    lies = dlsym(lib, "lies");
    fixture_make(state);
    token = fixture_open(MOCK_URI);
    return 0;
}

static int close_token(void **state)
{
    token_close(token);
    return fixture_remove(state);
}

static int reset_lies(void **state)
{
    (void)state;
    *lies = (struct lies){0};
    return 0;
}

static size_t count_all(void)
{
    CK_OBJECT_HANDLE found[64];
    CK_ULONG n = 0;

    assert_int_equal(token->p11->C_FindObjectsInit(token->session, NULL, 0), CKR_OK);
    assert_int_equal(token->p11->C_FindObjects(token->session, found, 64, &n), CKR_OK);
    assert_int_equal(token->p11->C_FindObjectsFinal(token->session), CKR_OK);
    return n;
}

static bool has_note(const struct token_abilities *a, const char *word)
{
    for (size_t i = 0; i < a->note_count; i++) {
        if (strstr(a->notes[i], word))
            return true;
    }
    return false;
}

static void test_softhsm_passes(void **state)
{
    struct token_abilities a;
    struct err err;

    (void)state;
    must(token_probe(token, &a, &err), &err);
    for (int type = KEY_TYPE_NONE + 1; type < KEY_TYPE_COUNT; type++)
        assert_true(a.can_generate[type]);
    assert_true(a.session_copies);
    assert_false(a.copies_unmodifiable); /* facts/tokens.md: 0x10 */
    assert_true(a.honours_mechanisms);
    assert_false(a.ec_point_raw);
    assert_int_equal(a.note_count, 0);
    assert_int_equal(count_all(), 0); /* it leaves nothing behind */
}

static void test_lesser_tokens_pass_with_notes(void **state)
{
    struct token_abilities a;
    struct err err;

    (void)state;
    lies->any_mechanism = true;
    lies->raw_points = true;
    lies->fail_copy = CKR_FUNCTION_NOT_SUPPORTED;
    must(token_probe(token, &a, &err), &err);
    assert_false(a.honours_mechanisms);
    assert_true(a.ec_point_raw);
    assert_false(a.session_copies);
    assert_false(a.copies_unmodifiable);
    assert_true(has_note(&a, "CKA_ALLOWED_MECHANISMS is not enforced"));
    assert_true(has_note(&a, "C_CopyObject: CKR_FUNCTION_NOT_SUPPORTED"));
    /* The session is still good: no operation was left begun. */
    *lies = (struct lies){0};
    must(token_probe(token, &a, &err), &err);
}

static void test_bad_tokens_are_refused(void **state)
{
    static const struct {
        struct lies how;
        const char *word;
    } cases[] = {
        {{.shows_values = true}, "the token shows CKA_VALUE"},
        {{.flags_turn = true}, "CKA_EXTRACTABLE"},
        {{.wraps = true}, "wraps out"},
        {{.bad_signatures = true}, "does not verify"},
        {{.fail_sign = CKR_FUNCTION_FAILED}, "C_SignInit: CKR_FUNCTION_FAILED"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct token_abilities a = {.note_count = 7};
        struct err err;

        *lies = cases[i].how;
        must_fail(token_probe(token, &a, &err), &err, ERR_TOKEN, cases[i].word);
        assert_int_equal(a.note_count, 7);
    }
    *lies = (struct lies){0};
}

static void test_nothing_to_make(void **state)
{
    struct token_abilities a;
    struct err err;

    (void)state;
    lies->fail_generate = CKR_FUNCTION_FAILED;
    must_fail(token_probe(token, &a, &err), &err, ERR_TOKEN, "no type of key");
    lies->fail_generate = CKR_DEVICE_REMOVED;
    must_fail(token_probe(token, &a, &err), &err, ERR_UNAVAILABLE, "CKR_DEVICE_REMOVED");
    assert_true(token_lost(token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_softhsm_passes, reset_lies),
        cmocka_unit_test_setup(test_lesser_tokens_pass_with_notes, reset_lies),
        cmocka_unit_test_setup(test_bad_tokens_are_refused, reset_lies),
        cmocka_unit_test_setup(test_nothing_to_make, reset_lies),
    };

    return cmocka_run_group_tests_name("token/probe", tests, open_token, close_token);
}

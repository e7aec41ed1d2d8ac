/* SPDX-License-Identifier: Apache-2.0
 *
 * The mock token itself: what a test stands on must hold.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/token/keys.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/token/fixture.h"

#define JOURNAL_MAX 65536

static struct token *token;

static int open_it(void **state)
{
    if (fixture_make(state) != 0)
        return -1;
    mock_script(state_dir, "# nothing yet\n");
    token = fixture_open(MOCK_URI);
    return 0;
}

static int close_it(void **state)
{
    mock_done();
    token_close(token);
    return fixture_remove(state);
}

static const char *journal_path(void)
{
    static char path[200];

    snprintf(path, sizeof(path), "%s/tokens/journal", state_dir);
    return path;
}

static const char *journal(void)
{
    static char text[JOURNAL_MAX];
    FILE *f = fopen(journal_path(), "r");

    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* How many private keys it says it has; -1: it fails, and err tells why. */
static int list(struct err *err)
{
    AUTO_FREE struct token_private *keys = NULL;
    size_t count = 0;

    return token_list_private(token, &keys, &count, err) ? (int)count : -1;
}

static void generate(const char *id)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;
    struct err err;

    must(token_generate(token, KEY_TYPE_EC_P256, (const uint8_t *)id, strlen(id), "mock", true,
                        &handle, spki, &len, &err),
         &err);
}

/* ---- failures */

static void the_nth_call(void **state)
{
    struct err err;

    (void)state;
    mock_script(state_dir, "at 2 C_FindObjectsInit fail CKR_GENERAL_ERROR\n");
    assert_true(list(&err) >= 0);
    assert_int_equal(list(&err), -1);
    must_fail(false, &err, ERR_TOKEN, "C_FindObjectsInit: CKR_GENERAL_ERROR");
    assert_true(list(&err) >= 0);
    mock_script(state_dir, "at 2 fail 0x5 # of any function\n"); /* and counting begins anew */
    assert_int_equal(list(&err), -1);
    must_fail(false, &err, ERR_TOKEN, "C_FindObjects: CKR_GENERAL_ERROR");
    mock_script(state_dir, "# nothing\n");
    assert_true(list(&err) >= 0);
}

static void vanished_and_back(void **state)
{
    struct err err;

    (void)state;
    mock_script(state_dir, "from 1 to 3 fail CKR_DEVICE_REMOVED\n");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(list(&err), -1);
        must_fail(false, &err, ERR_UNAVAILABLE, "C_FindObjectsInit: CKR_DEVICE_REMOVED");
    }
    assert_true(list(&err) >= 0);
}

/* Done, and denied. */
static void fail_after(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;
    struct err err;
    int before = list(&err);

    (void)state;
    mock_script(state_dir, "at 1 C_GenerateKeyPair fail-after CKR_FUNCTION_FAILED\n");
    must_fail(token_generate(token, KEY_TYPE_EC_P256, (const uint8_t *)"x", 1, "mock", true,
                             &handle, spki, &len, &err),
              &err, ERR_TOKEN, "C_GenerateKeyPair: CKR_FUNCTION_FAILED");
    assert_int_equal(list(&err), before + 1);
}

/* ---- the journal */

static void what_is_written(void **state)
{
    struct err err;

    (void)state;
    mock_script(state_dir, "journal %s\nat 1 C_SetAttributeValue fail CKR_ACTION_PROHIBITED\n",
                journal_path());
    generate("abc");
    AUTO_FREE struct token_private *keys = NULL;
    size_t count;
    must(token_list_private(token, &keys, &count, &err), &err);
    must(token_destroy(token, keys[count - 1].handle, &err), &err);
    const char *text = journal();
    assert_contains(text, "C_GenerateKeyPair CKM_EC_KEY_PAIR_GEN {CKA_TOKEN ");
    assert_contains(text, "C_SetAttributeValue token CKO_PRIVATE_KEY 616263 {CKA_PUBLIC_KEY_INFO} "
                          "= CKR_ACTION_PROHIBITED\n");
    assert_contains(text, "C_FindObjectsInit {CKA_CLASS CKA_TOKEN} = CKR_OK\n");
    assert_contains(text, "C_DestroyObject token CKO_PRIVATE_KEY ");
}

static void no_secret_is_written(void **state)
{
    (void)state;
    mock_script(state_dir, "journal %s\n", journal_path());
    pid_t pid = fork(); /* a module is opened once in a process */
    if (pid == 0) {
        token_close(token);
        struct token *again = fixture_open(MOCK_URI);
        (void)again;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    const char *text = journal();
    assert_contains(text, "C_Login = CKR_OK\n");
    assert_null(strstr(text, PIN));
    struct stat st;
    assert_int_equal(stat(journal_path(), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
}

/* ---- ends and waits */

/* Lists in a process of its own; its status, after ms if it did not end before. */
static int list_elsewhere(int ms)
{
    uint64_t until = clock_us() + (uint64_t)ms * 1000;
    int status = 0;
    struct err err;
    pid_t pid = fork();

    if (pid == 0)
        _exit(list(&err) < 0);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_us() > until)
            kill(pid, SIGTERM);
        usleep(1000);
    }
    return status;
}

static void it_crashes(void **state)
{
    (void)state;
    mock_script(state_dir, "journal %s\nat 1 C_FindObjectsInit crash\n", journal_path());
    assert_int_equal(list_elsewhere(60000), SIGKILL);
    assert_contains(journal(), "C_FindObjectsInit {CKA_CLASS CKA_TOKEN} = crashes\n");
    mock_script(state_dir, "journal %s\nat 1 C_FindObjectsFinal crash-after\n", journal_path());
    assert_int_equal(list_elsewhere(60000), SIGKILL);
    assert_contains(journal(), "C_FindObjectsFinal = crashes after it\n");
}

static void it_hangs_and_is_slow(void **state)
{
    struct err err;

    (void)state;
    mock_script(state_dir, "journal %s\nat 1 C_FindObjects hang\n", journal_path());
    assert_int_equal(list_elsewhere(500), SIGTERM);
    assert_contains(journal(), "C_FindObjects = hangs\n");
    mock_script(state_dir, "from 1 C_FindObjectsInit slow 50\n");
    uint64_t began = clock_us();
    assert_true(list(&err) >= 0);
    assert_true(clock_us() - began >= 50000);
}

static void it_lies(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;
    struct err err;

    (void)state;
    mock_script(state_dir, "lie bad-points\n");
    must_fail(token_generate(token, KEY_TYPE_EC_P256, (const uint8_t *)"x", 1, "mock", false,
                             &handle, spki, &len, &err),
              &err, ERR_TOKEN, "no public key");
}

/* ---- a script that is not understood */

static void it_does_not_guess(void **state)
{
    static const char *const scripts[] = {"at x fail 5\n", "at 1 explode\n",
                                          "lie much\n",    "at 1 fail CKR_X\n",
                                          "at\n",          "at 1 crash now\n"};

    (void)state;
    for (size_t i = 0; i < COUNT(scripts); i++) {
        mock_script(state_dir, "%s", scripts[i]);
        assert_int_equal(list_elsewhere(60000) & 0x7f, SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_call),
        cmocka_unit_test(vanished_and_back),
        cmocka_unit_test(fail_after),
        cmocka_unit_test(what_is_written),
        cmocka_unit_test(no_secret_is_written),
        cmocka_unit_test(it_crashes),
        cmocka_unit_test(it_hangs_and_is_slow),
        cmocka_unit_test(it_does_not_guess),
        cmocka_unit_test(it_lies), /* the last: a lie stays */
    };

    return cmocka_run_group_tests(tests, open_it, close_it);
}

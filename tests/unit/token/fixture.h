/* SPDX-License-Identifier: Apache-2.0
 *
 * A real SoftHSM token in a state directory of its own, made through token_init, for one test
 * program; and a module in front of it that misbehaves as told (tests/mock-token).
 */
#ifndef KEYD_TESTS_TOKEN_FIXTURE_H
#define KEYD_TESTS_TOKEN_FIXTURE_H

/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keyd/token/token.h"

#define SOFTHSM_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define LABEL          "keyd test"
#define URI_TOKEN      "pkcs11:token=keyd%20test?module-path="
#define URI            URI_TOKEN SOFTHSM_MODULE
#define MOCK_URI       URI_TOKEN MOCK_MODULE /* by CMake */
#define PIN            "1234-user"
#define SO_PIN         "5678-officer"

/* The state directory, below $TMPDIR; set by fixture_make. */
extern char state_dir[128];

/* For cmocka's group setup: makes the state directory and the token. */
int fixture_make(void **state);

/* For cmocka's group teardown: closes what is open, removes the state directory. */
int fixture_remove(void **state);

/* A PIN as a secret; freed with secret_free. */
struct secret fixture_secret(const char *text);

/* Opens the token by this URI and logs in; the test fails if that does not work. */
struct token *fixture_open(const char *uri);

/* What the mock token is to do from now on (tests/mock-token/README.md), in processes that begin
 * after this and in those that have a script of this state directory already. It lies beside the
 * tokens, where every token process may read. */
void mock_script(const char *dir, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Processes that begin from now on have no script. */
void mock_done(void);

/* Fails the test with the error's text unless ok. */
void must(bool ok, const struct err *err);

/* Fails the test unless !ok, the code fits and the text holds the word. */
void must_fail(bool ok, const struct err *err, enum err_code code, const char *word);

/* Removes a directory with everything in it. */
void remove_tree(const char *path);

#endif

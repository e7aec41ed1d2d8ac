/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture: key files that the openssl command writes into a directory of this program, made once.
 */
#ifndef KEYD_TESTS_UNIT_KEYDCTL_KEYFILE_FIXTURE_H
#define KEYD_TESTS_UNIT_KEYDCTL_KEYFILE_FIXTURE_H

#include "clients/keydctl/keyfile/keyfile.h"
#include "tests/unit/test.h"

#define FILE_MAX  (80u << 10)
#define PASSWORD  "correct horse"
#define PASSWORD2 "battery staple"

struct bytes {
    uint8_t p[FILE_MAX];
    size_t n;
};

/* Group set-up: the directory with base keys rsa.pem (2048), p256.pem, p384.pem, ed25519.pem, in
 * PKCS#8, a certificate for each (rsa.crt, ...) and a file `pass` that holds PASSWORD. */
int fixture_begin(void **state);

/* Removes it. */
int fixture_end(void **state);

/* Runs a shell command line in the directory; fails the test with its output if it fails. */
void sh(const char *command);

/* dir/name, in a static buffer. */
const char *path_of(const char *name);

/* The contents of a file, by its name in the directory or an absolute path; static until the next
 * call. */
const struct bytes *slurp(const char *name);

/* Writes a file. */
void spill(const char *name, const void *p, size_t n);

/* Gives this passphrase (a string; NULL: an error) whenever it is asked for; counts how often. */
struct canned {
    const char *text;
    unsigned asked;
};
/* A keyfile_pass over it that is asked at most `attempts` times. */
struct keyfile_pass canned_pass(struct canned *c, unsigned attempts);

/* keyfile_parse of a file with a passphrase (NULL: none); fails the test if it is refused. */
void must_read(const char *name, const char *pass, struct keyfile *ret);

/* keyfile_parse of bytes; fails the test unless it is refused with this code, text and hint. */
void must_refuse(const void *p, size_t n, const char *pass, enum err_code code, const char *text,
                 const char *hint);

#endif

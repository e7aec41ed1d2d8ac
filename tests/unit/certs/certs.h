/* SPDX-License-Identifier: Apache-2.0
 *
 * certs: throw-away certificates for tests of TLS, made by the openssl command.
 */
#ifndef KEYD_TESTS_UNIT_CERTS_H
#define KEYD_TESTS_UNIT_CERTS_H

#include <stddef.h>

/* Makes a directory with: ca and other (authorities: .pem, .key); of ca: server (127.0.0.1,
 * localhost), client (URI spiffe://test/fe-1), two (two URIs), bare (no URI), purpose (for servers
 * alone), late (expired): .crt, .key; of other: stranger; crl.pem (empty), revoked.pem (client is
 * on it), foreign.pem (other's). Aborts the test on failure; ended with certs_done. */
const char *certs_make(void);

/* dir/name, in a static buffer of which there are a few. */
const char *certs_path(const char *name);

/* A whole file, with a final zero; freed with free(3). */
char *certs_read(const char *name, size_t *ret_len);

/* Removes the directory. */
void certs_done(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: the type of everything that must not be seen: PINs, API tokens in flight, a PKCS#8 in
 * the client. Its bytes lie in pages of their own: locked in memory, left out of core files, zeroed
 * in forked children, wiped before they go. A secret is never logged, compared with memcmp or put
 * into an error.
 */
#ifndef KEYD_PROTO_BASE_SECRET_H
#define KEYD_PROTO_BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct secret {
    uint8_t *bytes;
    size_t len;
    size_t mapped; /* bytes of the mapping; 0: none */
};

/* Room for cap bytes, len 0. Fails when the memory cannot be had or locked (RLIMIT_MEMLOCK). */
bool secret_new(struct secret *ret, size_t cap, struct err *err) MUST_USE;

/* Reads fd to its end into a new secret, at most cap bytes (more is an error that says so); one
 * newline at the end is stripped. `what` names the source in an error. */
bool secret_read_fd(struct secret *ret, int fd, size_t cap, const char *what,
                    struct err *err) MUST_USE;

/* Opens path and reads it as secret_read_fd does. Refuses a regular file that others can read or
 * its group can change. */
bool secret_read_file(struct secret *ret, const char *path, size_t cap, struct err *err) MUST_USE;

/* Fills a new secret with n characters of [0-9a-f], 4 random bits each (getrandom(2)). */
bool secret_random_hex(struct secret *ret, size_t n, struct err *err) MUST_USE;

/* Fills a new secret with n random decimal digits, each as likely as another. */
bool secret_random_digits(struct secret *ret, size_t n, struct err *err) MUST_USE;

/* Whether both hold the same bytes. Takes the same time wherever they differ. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* Wipes and unmaps; an empty secret is fine. */
void secret_free(struct secret *s);

/* Wipes n bytes at p in a way that the compiler may not leave out. */
void secret_wipe(void *p, size_t n);

#endif

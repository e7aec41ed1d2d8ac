/* SPDX-License-Identifier: Apache-2.0
 *
 * residue: is anything of a private key in the memory of another process?
 */
#ifndef KEYD_TESTS_IMPORT_RESIDUE_H
#define KEYD_TESTS_IMPORT_RESIDUE_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What to look for: every run of 16 bytes of some secrets, in both byte orders. */
struct residue;

/* Looks for nothing yet. `shown`: the first few findings are told on stderr. Freed with
 * residue_free. */
struct residue *residue_new(bool shown);
/* Frees. */
void residue_free(struct residue *r);

/* Also looks for these bytes (at least 16). */
void residue_add(struct residue *r, const void *p, size_t n);

/* Also looks for all private numbers of the key. */
void residue_add_key(struct residue *r, EVP_PKEY *key);

/* How often runs are found in all readable mappings of the process. */
unsigned residue_search(const struct residue *r, pid_t pid);

#endif

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

/* Kinds of mappings. */
enum residue_kind {
    RESIDUE_HEAP,   /* brk */
    RESIDUE_STACK,  /* of the first thread */
    RESIDUE_ANON,   /* anonymous: malloc's large pieces and other arenas, AddressSanitizer's heap */
    RESIDUE_SECRET, /* anonymous, neither dumped nor inherited: struct secret */
    RESIDUE_MEMFD,
    RESIDUE_FILE, /* of a program or library, its data included */
    RESIDUE_KINDS
};

/* What a kind is called: "heap" and so on. */
const char *residue_kind_name(enum residue_kind kind);

/* As residue_search, counted by kind of mapping. */
void residue_search_kinds(const struct residue *r, pid_t pid, unsigned ret[RESIDUE_KINDS]);

/* How often runs are found in what the descriptor reads, from its start. */
unsigned residue_search_file(const struct residue *r, int fd, const char *name);

#endif

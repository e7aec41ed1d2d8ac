/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest: the MANIFEST of a backup, plain text: what the backup is of, then one line a file with
 * its size and SHA-256, and at the end the SHA-256 of all lines before it, so that a manifest that
 * was cut short or changed is never taken for a whole one.
 *
 *     keyd-backup 1
 *     time 2026-11-23T21:00:00Z
 *     keyd 0.1.0
 *     token-label keyd
 *     token-serial 5c1f3aa6d0e5b7f2
 *     token-model SoftHSM v2
 *     token-private-keys 3
 *     keys 2
 *     file 40960 <64 hex digits> registry.db
 *     file 320 <64 hex digits> tokens/<uuid>/token.object
 *     sum <64 hex digits>
 */
#ifndef PROTO_MANIFEST_H
#define PROTO_MANIFEST_H

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/base/rd.h"

#define MANIFEST_NAME     "MANIFEST"
#define MANIFEST_REGISTRY "registry.db"
#define MANIFEST_TOKENS   "tokens/" /* the names of a token's files begin so */
#define MANIFEST_VERSION  1
#define MANIFEST_MAX      (64u << 20) /* bytes; some 300,000 files */
#define MANIFEST_NAME_MAX 191         /* of a file */
#define SUM_LEN           32

/* SHA-256 of what comes in pieces. */
struct sum {
    void *ctx;
};

/* Begins; freed with sum_free. ERR_INTERNAL without libcrypto's SHA-256. */
bool sum_begin(struct sum *ret, struct err *err) MUST_USE;

/* Adds n bytes. False only when libcrypto fails. */
bool sum_add(struct sum *s, const void *p, size_t n) MUST_USE;

/* The sum; s can be used no more. False only when libcrypto fails. */
bool sum_end(struct sum *s, uint8_t ret[SUM_LEN]) MUST_USE;

/* Frees; one that was never begun (all zero) is fine. */
void sum_free(struct sum *s);

struct manifest {
    char time[24]; /* RFC 3339, UTC */
    char keyd[32]; /* version of the keyd that wrote it */
    char token_label[40], token_serial[24], token_model[24];
    uint32_t private_keys; /* in the token */
    uint32_t keys;         /* in the registry */
    size_t files;
    uint64_t bytes;   /* of all files */
    bool token_files; /* the token's files are among them */
    struct rd lines;  /* of files: see manifest_next */
};

struct manifest_file {
    char name[MANIFEST_NAME_MAX + 1]; /* relative, '/' between, no part begins with a dot */
    uint64_t size;
    uint8_t sum[SUM_LEN];
};

/* Begins a manifest in an empty buffer with the head of *m; files, bytes, token_files and lines
 * are not looked at, characters that are no text become '?'. ERR_INTERNAL without memory. */
bool manifest_begin(struct buf *b, const struct manifest *m, struct err *err) MUST_USE;

/* Adds a file. ERR_BAD_REQUEST for a name that cannot stand in a manifest. */
bool manifest_add(struct buf *b, const struct manifest_file *file, struct err *err) MUST_USE;

/* Adds the sum over all of it. */
bool manifest_end(struct buf *b, struct err *err) MUST_USE;

/* Reads a manifest, every line of it. m->lines borrows from p. ERR_UNSUPPORTED for another format
 * version, ERR_STORAGE for one that is damaged, cut short or none. */
bool manifest_read(const void *p, size_t len, struct manifest *ret, struct err *err) MUST_USE;

/* The next file of a manifest that was read; false: that was all. */
bool manifest_next(struct rd *lines, struct manifest_file *ret) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * rd: the one reading cursor. It borrows a range of bytes and hands them out in order; a read past
 * the end makes it fail, and failure is sticky: later reads give zero and NULL, so a parser reads
 * straight through and asks once at the end. Integers are big-endian, as in TLS and DER.
 */
#ifndef KEYD_PROTO_BASE_RD_H
#define KEYD_PROTO_BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct rd {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

/* A cursor over n bytes at p; the bytes must outlive it. */
struct rd rd_of(const void *p, size_t n);

/* The next 1, 2, 4 or 8 bytes as a number; 0 after a failure. */
uint8_t rd_u8(struct rd *r);
/* See rd_u8. */
uint16_t rd_u16(struct rd *r);
/* See rd_u8. */
uint32_t rd_u32(struct rd *r);
/* See rd_u8. */
uint64_t rd_u64(struct rd *r);

/* The next n bytes, borrowed from the range; NULL after a failure. */
const uint8_t *rd_bytes(struct rd *r, size_t n);

/* A cursor over the next n bytes; a failed one after a failure. */
struct rd rd_sub(struct rd *r, size_t n);

/* Copies the next n bytes to out (n zero bytes after a failure). */
void rd_copy(struct rd *r, void *out, size_t n);

/* Copies a string that wr_text wrote into buf, with a final zero. Fails when it does not fit or
 * holds a zero byte: buf is empty then. */
void rd_text(struct rd *r, char *buf, size_t size);

/* Skips n bytes if they are the ones at p, else fails. */
void rd_expect(struct rd *r, const void *p, size_t n);

/* How many bytes are left; 0 after a failure. */
size_t rd_left(const struct rd *r);

/* True if nothing failed and not one byte is left over. */
bool rd_end(const struct rd *r) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * wr: the writing twin of rd. It fills a buffer of fixed size that the caller owns; a write that
 * does not fit makes it fail, and failure is sticky. Integers are big-endian.
 */
#ifndef KEYD_PROTO_BASE_WR_H
#define KEYD_PROTO_BASE_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct wr {
    uint8_t *start;
    size_t len;
    size_t cap;
    bool failed;
};

/* A writer over cap bytes at p, which stay the caller's. */
struct wr wr_of(void *p, size_t cap);

/* Appends a number in 1, 2, 4 or 8 bytes. */
void wr_u8(struct wr *w, uint8_t v);
/* See wr_u8. */
void wr_u16(struct wr *w, uint16_t v);
/* See wr_u8. */
void wr_u32(struct wr *w, uint32_t v);
/* See wr_u8. */
void wr_u64(struct wr *w, uint64_t v);

/* Appends n bytes. */
void wr_bytes(struct wr *w, const void *p, size_t n);

/* Appends a string: a 2-byte length and its bytes. */
void wr_text(struct wr *w, const char *text);

/* Makes room for n bytes and gives their place, to be filled by the caller; NULL if they do not
 * fit. */
uint8_t *wr_room(struct wr *w, size_t n);

/* True if everything that was written did fit. */
bool wr_ok(const struct wr *w) MUST_USE;

#endif

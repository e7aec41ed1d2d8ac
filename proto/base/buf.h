/* SPDX-License-Identifier: Apache-2.0
 *
 * buf: bytes on their way: filled at the end, used up from the start. It grows by doubling up to a
 * cap that the caller names, and never shrinks by itself.
 */
#ifndef KEYD_PROTO_BASE_BUF_H
#define KEYD_PROTO_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct buf {
    uint8_t *bytes;
    size_t start, len, cap; /* it holds len bytes from bytes + start */
};

/* Room for at least n more bytes, to be filled and then counted with buf_fill; NULL without memory
 * or when the buffer would outgrow max. Moves what it holds: borrowed pointers die. */
uint8_t *buf_room(struct buf *b, size_t n, size_t max) MUST_USE;

/* How many bytes fit behind what it holds, without growing. */
size_t buf_space(const struct buf *b);

/* Counts n bytes that were written to the room. */
void buf_fill(struct buf *b, size_t n);

/* The first byte that it holds. */
uint8_t *buf_head(const struct buf *b);

/* Uses up n bytes from the start. They stay where they are until the next buf_room. */
void buf_use(struct buf *b, size_t n);

/* Frees; the buffer is empty and usable again. */
void buf_free(struct buf *b);

#endif

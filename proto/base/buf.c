/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/buf.h"

#include <string.h>

#include "proto/base/mem.h"

#define FIRST_SIZE 4096u

uint8_t *buf_room(struct buf *b, size_t n, size_t max)
{
    if (buf_space(b) >= n && b->bytes)
        return b->bytes + b->start + b->len;
    if (b->start && b->len)
        memmove(b->bytes, b->bytes + b->start, b->len);
    b->start = 0;
    if (buf_space(b) >= n && b->bytes)
        return b->bytes + b->len;
    if (n > max || b->len > max - n)
        return NULL;
    size_t cap = b->cap ? b->cap : FIRST_SIZE;
    while (cap - b->len < n)
        cap *= 2;
    uint8_t *bytes = mem_resize(b->bytes, cap, 1);
    if (!bytes)
        return NULL;
    b->bytes = bytes;
    b->cap = cap;
    return bytes + b->len;
}

size_t buf_space(const struct buf *b)
{
    return b->cap - b->start - b->len;
}

void buf_fill(struct buf *b, size_t n)
{
    b->len += n;
}

uint8_t *buf_head(const struct buf *b)
{
    return b->bytes + b->start;
}

void buf_use(struct buf *b, size_t n)
{
    b->start += n;
    b->len -= n;
    if (b->len == 0)
        b->start = 0;
}

void buf_free(struct buf *b)
{
    mem_free(b->bytes);
    *b = (struct buf){0};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * arena: the memory of one call. Pieces are cut off one block after another and all freed at once;
 * the sum is capped, so what a sender claims about sizes cannot make us allocate more than the cap.
 * A reset keeps the first block: a call record that is used again allocates nothing.
 */
#ifndef KEYD_PROTO_BASE_ARENA_H
#define KEYD_PROTO_BASE_ARENA_H

#include <stddef.h>

#include "proto/base/err.h"

struct arena_block;

struct arena {
    struct arena_block *first, *last;
    size_t used; /* bytes handed out since the last reset */
    size_t cap;  /* most that may be handed out */
};

/* An empty arena that hands out at most cap bytes. Allocates nothing yet. */
struct arena arena_of(size_t cap);

/* n zeroed bytes, aligned for any type; NULL over the cap or without memory. */
void *arena_alloc(struct arena *a, size_t n) MUST_USE;

/* A copy of n bytes with a zero byte after them; NULL as arena_alloc. */
void *arena_dup(struct arena *a, const void *p, size_t n) MUST_USE;

/* A formatted string; NULL as arena_alloc. */
char *arena_printf(struct arena *a, const char *fmt, ...) MUST_USE PRINTF_LIKE(2, 3);

/* Takes everything back, keeps the first block for the next use. */
void arena_reset(struct arena *a);

/* Frees all blocks; the arena is empty and usable again. */
void arena_free(struct arena *a);

#endif

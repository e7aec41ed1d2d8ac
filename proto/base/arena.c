/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"

#define BLOCK_SIZE 2048

struct arena_block {
    struct arena_block *next;
    size_t len, cap;
    alignas(max_align_t) uint8_t bytes[];
};

struct arena arena_of(size_t cap)
{
    return (struct arena){.cap = cap};
}

static struct arena_block *grow(struct arena *a, size_t n)
{
    size_t cap = n > BLOCK_SIZE ? n : BLOCK_SIZE;
    struct arena_block *b = mem_new(sizeof(*b) + cap);

    if (!b)
        return NULL;
    b->cap = cap;
    if (a->last)
        a->last->next = b;
    else
        a->first = b;
    a->last = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t align = alignof(max_align_t);

    if (n > a->cap - a->used)
        return NULL;
    n = (n + align - 1) & ~(align - 1);
    struct arena_block *b = a->last;
    if (!b || b->cap - b->len < n)
        b = grow(a, n);
    if (!b)
        return NULL;
    void *p = b->bytes + b->len;
    b->len += n;
    a->used = n < a->cap - a->used ? a->used + n : a->cap;
    memset(p, 0, n);
    return p;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    uint8_t *copy = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;

    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (!s)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

static void free_from(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;

        mem_free(b);
        b = next;
    }
}

void arena_reset(struct arena *a)
{
    a->used = 0;
    if (!a->first)
        return;
    free_from(a->first->next);
    a->first->next = NULL;
    a->first->len = 0;
    a->last = a->first;
}

void arena_free(struct arena *a)
{
    free_from(a->first);
    *a = arena_of(a->cap);
}

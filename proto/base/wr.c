/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/wr.h"

#include <string.h>

struct wr wr_of(void *p, size_t cap)
{
    return (struct wr){.start = p, .cap = cap};
}

uint8_t *wr_room(struct wr *w, size_t n)
{
    if (w->failed || w->cap - w->len < n) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->start + w->len;
    w->len += n;
    return p;
}

static void number(struct wr *w, uint64_t v, size_t n)
{
    uint8_t *p = wr_room(w, n);

    for (size_t i = n; p && i > 0; i--, v >>= 8)
        p[i - 1] = (uint8_t)v;
}

void wr_u8(struct wr *w, uint8_t v)
{
    number(w, v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
    number(w, v, 2);
}

void wr_u32(struct wr *w, uint32_t v)
{
    number(w, v, 4);
}

void wr_u64(struct wr *w, uint64_t v)
{
    number(w, v, 8);
}

void wr_bytes(struct wr *w, const void *p, size_t n)
{
    uint8_t *at = wr_room(w, n);

    if (at && n)
        memcpy(at, p, n);
}

bool wr_ok(const struct wr *w)
{
    return !w->failed;
}

void wr_text(struct wr *w, const char *text)
{
    size_t len = strlen(text);

    if (len > UINT16_MAX)
        w->failed = true;
    wr_u16(w, (uint16_t)len);
    wr_bytes(w, text, len);
}

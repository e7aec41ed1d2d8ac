/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/rd.h"

#include <string.h>

struct rd rd_of(const void *p, size_t n)
{
    const uint8_t *at = p;

    return (struct rd){.at = at, .end = n ? at + n : at};
}

static uint64_t number(struct rd *r, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);
    uint64_t v = 0;

    for (size_t i = 0; p && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t rd_u8(struct rd *r)
{
    return (uint8_t)number(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
    return (uint16_t)number(r, 2);
}

uint32_t rd_u32(struct rd *r)
{
    return (uint32_t)number(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
    return number(r, 8);
}

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (r->failed || (size_t)(r->end - r->at) < n) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    if (n)
        r->at += n;
    return p;
}

struct rd rd_sub(struct rd *r, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);

    if (r->failed)
        return (struct rd){.failed = true};
    return rd_of(p, n);
}

void rd_copy(struct rd *r, void *out, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);

    if (!n)
        return;
    if (p)
        memcpy(out, p, n);
    else
        memset(out, 0, n);
}

void rd_expect(struct rd *r, const void *want, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);

    if (p && n && memcmp(p, want, n) != 0)
        r->failed = true;
}

size_t rd_left(const struct rd *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

bool rd_end(const struct rd *r)
{
    return !r->failed && r->at == r->end;
}

void rd_text(struct rd *r, char *buf, size_t size)
{
    size_t len = rd_u16(r);
    const uint8_t *text = rd_bytes(r, len);

    buf[0] = '\0';
    if (!text || len >= size || memchr(text, '\0', len)) {
        r->failed = true;
        return;
    }
    memcpy(buf, text, len);
    buf[len] = '\0';
}

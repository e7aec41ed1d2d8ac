/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/x509/der.h"

#include <string.h>

struct der_out der_out_of(uint8_t *p, size_t cap)
{
    return (struct der_out){.start = p, .at = p + cap, .end = p + cap};
}

void der_raw(struct der_out *o, const void *p, size_t n)
{
    if (o->failed || (size_t)(o->at - o->start) < n) {
        o->failed = true;
        return;
    }
    o->at -= n;
    if (n)
        memcpy(o->at, p, n);
}

const uint8_t *der_mark(const struct der_out *o)
{
    return o->at;
}

void der_wrap(struct der_out *o, uint8_t tag, const uint8_t *inner)
{
    size_t n = (size_t)(inner - o->at);
    uint8_t head[DER_HEAD_MAX], *at = head + sizeof(head);

    if (n >= 1u << 24) {
        o->failed = true;
        return;
    }
    if (n < 0x80) {
        *--at = (uint8_t)n;
    } else {
        uint8_t bytes = 0;
        for (size_t left = n; left > 0; left >>= 8, bytes++)
            *--at = (uint8_t)left;
        *--at = (uint8_t)(0x80 | bytes);
    }
    *--at = tag;
    der_raw(o, at, (size_t)(head + sizeof(head) - at));
}

void der_value(struct der_out *o, uint8_t tag, const void *p, size_t n)
{
    const uint8_t *inner = der_mark(o);

    der_raw(o, p, n);
    der_wrap(o, tag, inner);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The lenient half must say yes wherever any verifier would go on reading:
 *   - OpenSSL takes lengths with leading zeroes, indefinite lengths, and tag 16 in its long form,
 *     keeps the bytes as they came and verifies the signature over those;
 *   - readers that take a value as ANY do not look inside it, so a broken inside proves nothing;
 *   - Go's encoding/asn1 lets bytes stand after the last known member of a SEQUENCE.
 * So only what all of them need is asked for: the outer SEQUENCE or SET spans the message, and its
 * first two members (or the only one) have headers that fit, of the classes universal or
 * context-specific. It must say no to nearly all honest messages: an X25519 key exchange with
 * random first bytes passes for such a thing once in a million and a half. Values of other tags are
 * not refused: nobody signs a bare OCTET STRING, and one in some hundred honest messages would read
 * as a primitive value.
 */
#include "keyd/policy/ber.h"

#define CONSTRUCTED            0x20
#define APPLICATION_OR_PRIVATE 0x40
#define TAG_LONG               0x1f
#define SEQUENCE               16
#define SET                    17

/* ---- DER */

static size_t der_length(struct rd *r)
{
    size_t n = rd_u8(r);

    if (n < 0x80)
        return n;
    size_t bytes = n & 0x7f;
    if (bytes < 1 || bytes > 3) { /* indefinite, or 16 MiB and more */
        r->failed = true;
        return 0;
    }
    n = 0;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | rd_u8(r);
    if (n < 0x80 || n >> 8 * (bytes - 1) == 0) /* it would fit in fewer bytes */
        r->failed = true;
    return n;
}

/* The next value's tag; *ret_body its contents. */
static uint8_t der_value(struct rd *r, struct rd *ret_body)
{
    uint8_t tag = rd_u8(r);
    size_t n = der_length(r);

    if ((tag & TAG_LONG) == TAG_LONG || tag == 0)
        r->failed = true;
    *ret_body = rd_sub(r, n);
    return r->failed ? 0 : tag;
}

struct rd der_enter(struct rd *r, uint8_t tag)
{
    struct rd body;

    if (der_value(r, &body) == tag)
        return body;
    r->failed = true;
    return (struct rd){.failed = true};
}

uint8_t der_skip(struct rd *r)
{
    struct rd body;

    return der_value(r, &body);
}

bool der_well_formed(struct rd r, unsigned depth)
{
    struct rd body;

    while (rd_left(&r) > 0) {
        uint8_t tag = der_value(&r, &body);
        if (tag & CONSTRUCTED && (depth == 0 || !der_well_formed(body, depth - 1)))
            return false;
    }
    return rd_end(&r);
}

/* ---- BER, leniently */

struct ber {
    unsigned class_and_form; /* the upper three bits of the first byte */
    uint64_t number;
    bool indefinite;
    struct rd body; /* with an indefinite length: all the rest */
};

static uint64_t ber_tag_number(struct rd *r, uint8_t first)
{
    uint64_t number = first & TAG_LONG;
    uint8_t b;

    if (number != TAG_LONG)
        return number;
    number = 0;
    do {
        b = rd_u8(r);
        number = number << 7 | (b & 0x7f);
    } while (b & 0x80);
    return number;
}

static bool ber_next(struct rd *r, struct ber *ret)
{
    uint8_t first = rd_u8(r);
    struct ber v = {.class_and_form = first & 0xe0, .number = ber_tag_number(r, first)};
    uint64_t n = rd_u8(r);

    v.indefinite = n == 0x80;
    if (n > 0x80) {
        size_t bytes = n & 0x7f;
        for (n = 0; bytes > 0; bytes--)
            n = n >> 56 ? UINT64_MAX : n << 8 | rd_u8(r);
    }
    if (v.indefinite)
        n = rd_left(r);
    v.body = n <= rd_left(r) ? rd_sub(r, n) : (struct rd){.failed = true};
    *ret = v;
    return !r->failed && !v.body.failed;
}

static bool ber_member(struct rd *r)
{
    struct ber v;

    return ber_next(r, &v) && !(v.class_and_form & APPLICATION_OR_PRIVATE);
}

bool ber_is_signable(const uint8_t *message, size_t len)
{
    struct rd r = rd_of(message, len);
    struct ber outer;

    if (!ber_next(&r, &outer) || !rd_end(&r) || outer.class_and_form != CONSTRUCTED)
        return false;
    if (outer.number != SEQUENCE && outer.number != SET)
        return false;
    return ber_member(&outer.body) && (rd_end(&outer.body) || ber_member(&outer.body));
}

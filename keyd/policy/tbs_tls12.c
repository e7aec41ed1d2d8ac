/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 8422 5.4: signed_params is over ClientHello.random[32], ServerHello.random[32] and
 *   struct { ECParameters curve_params; ECPoint public; } ServerECDHParams;
 * with ECCurveType named_curve (3), NamedCurve (2 bytes), and opaque point <1..2^8-1>.
 *
 * Who asks chooses the first 64 bytes, and for X25519 and X448 the point too. That is enough room
 * to make the same bytes mean something else (facts: 201 bytes that are also a CSR). So points of
 * NIST curves must lie on their curve, and what reads as one whole DER value is refused.
 */
#include "keyd/policy/tbs_tls12.h"

#include "keyd/policy/ber.h"
#include "keyd/policy/curve.h"
#include "proto/base/rd.h"

#define RANDOMS     64
#define NAMED_CURVE 3
#define DHE_MIN     64 /* bytes of the smallest prime that anybody used: 512 bits */

bool tbs_tls12_is_dhe(const uint8_t *message, size_t len)
{
    struct rd r = rd_of(message, len);

    rd_bytes(&r, RANDOMS);
    size_t p = rd_u16(&r);
    rd_bytes(&r, p);
    size_t g = rd_u16(&r);
    rd_bytes(&r, g);
    size_t ys = rd_u16(&r);
    rd_bytes(&r, ys);
    return rd_end(&r) && p >= DHE_MIN && g > 0 && g <= p && ys > 0 && ys <= p;
}

bool tbs_tls12_server(const uint8_t *message, size_t len, struct err *err)
{
    struct rd r = rd_of(message, len);

    rd_bytes(&r, RANDOMS);
    uint8_t curve_type = rd_u8(&r);
    uint16_t code = rd_u16(&r);
    size_t point_len = rd_u8(&r);
    const uint8_t *point = rd_bytes(&r, point_len);

    if (r.failed)
        return err_set(err, ERR_BAD_SHAPE,
                       "a message of %zu bytes is no TLS 1.2 ECDHE key exchange: it is cut short",
                       len);
    if (curve_type != NAMED_CURVE)
        return err_set(err, ERR_BAD_SHAPE,
                       "no TLS 1.2 ECDHE key exchange: curve type %u, not named_curve (3)",
                       curve_type);
    if (!rd_end(&r))
        return err_set(err, ERR_BAD_SHAPE,
                       "a TLS 1.2 ECDHE key exchange with %zu bytes after its point", rd_left(&r));
    TRY(curve_point_check(code, point, point_len, err));
    if (ber_is_signable(message, len))
        return err_set(err, ERR_BAD_SHAPE,
                       "a TLS 1.2 ECDHE key exchange that is a whole DER value at the same time");
    return true;
}

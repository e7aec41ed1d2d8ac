/* SPDX-License-Identifier: Apache-2.0
 *
 * The group, a point to decode into and a BN_CTX are kept for each curve, so that a check is
 * EC_POINT_oct2point alone (0.5 to 1 us, no allocation; it fails for a point off the curve). Our
 * processes have one thread: nothing is locked.
 */
#include "keyd/policy/curve.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

struct curve {
    uint16_t code;
    const char *name;
    size_t len;
    int nid; /* 0: any value of that length is a point (RFC 7748 5) */
    EC_GROUP *group;
    EC_POINT *point;
    BN_CTX *ctx;
};

static struct curve curves[] = {
    {.code = 0x0017, .name = "secp256r1", .len = 65, .nid = NID_X9_62_prime256v1},
    {.code = 0x0018, .name = "secp384r1", .len = 97, .nid = NID_secp384r1},
    {.code = 0x0019, .name = "secp521r1", .len = 133, .nid = NID_secp521r1},
    {.code = 0x001d, .name = "x25519", .len = 32},
    {.code = 0x001e, .name = "x448", .len = 56},
};

static struct curve *curve_by_code(uint16_t code)
{
    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
        if (curves[i].code == code)
            return &curves[i];
    return NULL;
}

static bool set_up(struct curve *c)
{
    if (!c->group)
        c->group = EC_GROUP_new_by_curve_name(c->nid);
    if (c->group && !c->point)
        c->point = EC_POINT_new(c->group);
    if (!c->ctx)
        c->ctx = BN_CTX_new();
    return c->point && c->ctx;
}

static bool on_curve(struct curve *c, const uint8_t *point, size_t len, struct err *err)
{
    if (point[0] != POINT_CONVERSION_UNCOMPRESSED)
        return err_set(err, ERR_BAD_SHAPE, "a point of %s that is not uncompressed", c->name);
    if (!set_up(c))
        return err_set(err, ERR_INTERNAL, "libcrypto cannot set up the curve %s", c->name);
    if (EC_POINT_oct2point(c->group, c->point, point, len, c->ctx) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_BAD_SHAPE, "a point that does not lie on %s", c->name);
    }
    return true;
}

bool curve_point_check(uint16_t code, const uint8_t *point, size_t len, struct err *err)
{
    struct curve *c = curve_by_code(code);

    if (!c)
        return err_set(err, ERR_BAD_SHAPE, "a key exchange on an unknown curve (0x%04x)", code);
    if (len != c->len)
        return err_set(err, ERR_BAD_SHAPE, "a point of %zu bytes; a point of %s has %zu", len,
                       c->name, c->len);
    return c->nid == 0 || on_curve(c, point, len, err);
}

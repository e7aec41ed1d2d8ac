/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that the tests of policy share: honest ones, to be bent in one place each.
 */
#ifndef KEYD_TESTS_POLICY_SAMPLES_H
#define KEYD_TESTS_POLICY_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct sample {
    uint8_t bytes[1024];
    size_t len;
};

static inline void sample_add(struct sample *s, const void *p, size_t n)
{
    memcpy(s->bytes + s->len, p, n);
    s->len += n;
}

static inline struct sample sample_of_hex(const char *hex)
{
    struct sample s = {.len = 0};
    unsigned byte;

    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        s.bytes[s.len++] = (uint8_t)byte;
    return s;
}

/* One DER value around bytes: at most 65535 of them. */
static inline struct sample sample_der(uint8_t tag, const void *p, size_t n)
{
    struct sample s = {.bytes = {tag}, .len = 1};

    if (n >= 256) {
        const uint8_t head[] = {0x82, (uint8_t)(n >> 8), (uint8_t)n};
        sample_add(&s, head, sizeof(head));
    } else if (n >= 128) {
        const uint8_t head[] = {0x81, (uint8_t)n};
        sample_add(&s, head, sizeof(head));
    } else {
        s.bytes[s.len++] = (uint8_t)n;
    }
    sample_add(&s, p, n);
    return s;
}

/* 64 blanks, the context string, a zero, hash_len bytes of 0xaa. */
static inline struct sample sample_tls13(const char *context, size_t hash_len)
{
    struct sample s = {.len = 64};

    memset(s.bytes, 0x20, 64);
    sample_add(&s, context, strlen(context) + 1);
    memset(s.bytes + s.len, 0xaa, hash_len);
    s.len += hash_len;
    return s;
}

/* Two randoms of 0x11 and 0x22, named_curve, the code, the point. */
static inline struct sample sample_tls12(uint16_t code, const struct sample *point)
{
    struct sample s = {.len = 64};
    uint8_t head[] = {3, (uint8_t)(code >> 8), (uint8_t)code, (uint8_t)point->len};

    memset(s.bytes, 0x11, 32);
    memset(s.bytes + 32, 0x22, 32);
    sample_add(&s, head, sizeof(head));
    sample_add(&s, point->bytes, point->len);
    return s;
}

#define SERVER_CONTEXT "TLS 1.3, server CertificateVerify"
#define CLIENT_CONTEXT "TLS 1.3, client CertificateVerify"

/* The base points (SEC 2 2.4.2, 2.5.1, 2.6.1) and those of RFC 7748. */
#define POINT_P256                                                                                 \
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"                           \
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define POINT_P384                                                                                 \
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872" \
    "760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d" \
    "7c90ea0e5f"
#define POINT_P521                                                                                 \
    "0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc1" \
    "27a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b44" \
    "6817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650"
#define POINT_X25519 "0900000000000000000000000000000000000000000000000000000000000000"
#define POINT_X448                                                                                 \
    "0500000000000000000000000000000000000000000000000000000000000000000000000000000000000000"     \
    "000000000000000000000000"

/* facts: a P-521 key exchange by its lengths, and a CSR for evil.test that OpenSSL accepts */
#define TLS12_AND_CSR                                                                              \
    "3081c6020100303d313b303906035504031432746f74616c6c792d612d746c7331322d7365727665722d6b65792d" \
    "65786368616e67652d6d6573736167652121030019850430593013"                                       \
    "06072a8648ce3d020106082a8648ce3d030107034200048d978a35998bd11ce33b2b2507a2a6cd513b231007e019" \
    "097f506c8d861364272fc36d56971628ecc7433b25ccee18a041a9eab35917b4e206b6dbed1774078ea027302506" \
    "092a864886f70d01090e3118301630140603551d11040d300b82096576696c2e74657374"

#endif

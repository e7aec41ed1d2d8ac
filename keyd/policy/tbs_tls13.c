/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 8446 4.4.3: "A string that consists of octet 32 (0x20) repeated 64 times; the context string;
 * a single 0 byte which serves as the separator; the content to be signed", which is the transcript
 * hash. Its length follows the cipher suite's hash (SHA-256 or SHA-384), not the signature's.
 *
 * The context string is compared byte by byte: that of delegated credentials (RFC 9345 4) is just
 * as long, and a signature under it would outlive the connection by days.
 */
#include "keyd/policy/tbs_tls13.h"

#include <string.h>

#include "proto/base/rd.h"

#define PAD     64
#define CONTEXT 33 /* both strings, without a final zero */

static const struct {
    char context[CONTEXT + 1];
    enum purpose purpose;
} contexts[] = {
    {"TLS 1.3, server CertificateVerify", PURPOSE_TLS13_SERVER},
    {"TLS 1.3, client CertificateVerify", PURPOSE_TLS13_CLIENT},
};

bool tbs_tls13_begins(const uint8_t *message, size_t len)
{
    struct rd r = rd_of(message, len);
    const uint8_t *pad = rd_bytes(&r, PAD);
    unsigned blanks = 0;

    for (unsigned i = 0; pad && i < PAD; i++)
        blanks += pad[i] == 0x20;
    return blanks == PAD;
}

static enum purpose purpose_of(const uint8_t *context)
{
    for (size_t i = 0; context && i < sizeof(contexts) / sizeof(contexts[0]); i++)
        if (memcmp(context, contexts[i].context, CONTEXT) == 0)
            return contexts[i].purpose;
    return 0;
}

enum purpose tbs_tls13(const uint8_t *message, size_t len, struct err *err)
{
    struct rd r = rd_of(message, len);

    rd_bytes(&r, PAD);
    if (!tbs_tls13_begins(message, len)) {
        err_set(err, ERR_BAD_SHAPE, "no TLS 1.3 signature: it does not begin with 64 blanks");
        return 0;
    }
    enum purpose purpose = purpose_of(rd_bytes(&r, CONTEXT));
    if (!purpose || rd_u8(&r) != 0x00 || r.failed) {
        err_set(err, ERR_BAD_SHAPE,
                "a TLS 1.3 signature, but not of a server's or client's CertificateVerify");
        return 0;
    }
    size_t hash = rd_left(&r);
    if (hash != 32 && hash != 48) {
        err_set(err, ERR_BAD_SHAPE,
                "a TLS 1.3 CertificateVerify with a transcript hash of %zu bytes; it has 32 or 48",
                hash);
        return 0;
    }
    return purpose;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS shapes cannot be taken for each other: their lengths differ (130, 146 for TLS 1.3; 100,
 * 124, 133, 165, 201 for TLS 1.2). Most of this file is about saying no in a helpful way.
 */
#include "keyd/policy/tbs.h"

#include "keyd/policy/ber.h"
#include "keyd/policy/tbs_tls12.h"
#include "keyd/policy/tbs_tls13.h"

/* SHA-1, SHA-224, SHA-256, SHA-384, SHA-512 */
static bool as_long_as_a_digest(size_t len)
{
    return len == 20 || len == 28 || len == 32 || len == 48 || len == 64;
}

/* No shape fits: what may the caller have meant? */
static void explain(const uint8_t *message, size_t len, struct err *err)
{
    if (len == 0) {
        err_set(err, ERR_BAD_SHAPE, "the message is empty");
    } else if (as_long_as_a_digest(len)) {
        err_set(err, ERR_BAD_SHAPE,
                "a message of %zu bytes looks like a bare digest; keyd signs whole messages", len);
        err_hint(err, "send the message itself; keyd hashes it as the scheme says");
    } else if (tbs_tls12_is_dhe(message, len)) {
        err_set(err, ERR_BAD_SHAPE,
                "a TLS 1.2 DHE key exchange (finite field); keyd signs ECDHE alone");
        err_hint(err, "leave DHE suites out of the server's ciphers, as in ECDHE+AESGCM:"
                      "ECDHE+CHACHA20");
    } else if (ber_is_signable(message, len)) {
        err_set(err, ERR_BAD_SHAPE,
                "a message of %zu bytes looks like DER, such as a certificate request; for a "
                "frontend keyd signs TLS handshakes alone",
                len);
        err_hint(err, "certificate requests are signed on control.sock: keydctl csr");
    } else {
        err_set(err, ERR_BAD_SHAPE,
                "a message of %zu bytes is no TLS 1.3 CertificateVerify and no TLS 1.2 ECDHE key "
                "exchange",
                len);
        err_hint(err, "keyd signs no DHE key exchange and no TLS 1.2 client authentication");
    }
}

enum purpose tbs_recognise(const uint8_t *message, size_t len, struct err *err)
{
    struct err why;

    if (tbs_tls13_begins(message, len))
        return tbs_tls13(message, len, err);
    if (tbs_tls12_server(message, len, &why))
        return PURPOSE_TLS12_SERVER;
    /* behind two randoms stands "named curve": it was meant to be one, so tell what is wrong with
     * it */
    if (len > 68 && message[64] == 0x03 && message[65] == 0x00)
        *err = why;
    else
        explain(message, len, err);
    return 0;
}

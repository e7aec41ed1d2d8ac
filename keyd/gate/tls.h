/* SPDX-License-Identifier: Apache-2.0
 *
 * tls: the gate's side of TLS 1.3 (RFC 8446), and whom it lets in: client certificates of the
 * configured authorities alone, not revoked, not on the deny list. Tickets, resumption, early data
 * and compression are off; there is no renegotiation in TLS 1.3. A client may leave its certificate
 * out: then it needs a token at its hello.
 *
 * All of it is made of one bundle of bytes: the files that the parent has read, because a gate
 * opens none. What is asked again of live connections needs no signature to be verified: until when
 * the certificate is valid, whether its trust anchor is one still, the lists of revoked and denied.
 */
#ifndef KEYD_GATE_TLS_H
#define KEYD_GATE_TLS_H

#include "keyd/gate/refusals.h"
#include "keyd/gate/stream.h"
#include "keyd/gate/who.h"

struct tls;

/* Makes libcrypto and libssl ready, and keeps them from every file: before the sandbox closes. */
bool tls_init(struct err *err) MUST_USE;

/* Reads a bundle (gate.h). Errors name the file and what is wrong with it. Freed with tls_free. */
bool tls_make(struct tls **ret, const uint8_t *bundle, size_t len, struct err *err) MUST_USE;

/* Frees; NULL is fine. Connections that it accepted live on. */
void tls_free(struct tls *t);

/* Begins TLS on an accepted socket. Without a certificate (the bundle had a deny list alone) or
 * without memory false; the descriptor is then still the caller's. */
bool tls_accept(const struct tls *t, int fd, struct stream *ret) MUST_USE;

/* After a read of an unfinished handshake that gave STREAM_BROKEN or 0: why, also in words. */
enum refusal tls_failure(const struct stream *s, char *why, size_t size);

/* Takes what the peer's certificate proves into the identity; nothing if it has shown none.
 * ERR_DENIED: two identities, or one that is none. */
bool tls_identify(const struct stream *s, struct identity *ret, struct err *err) MUST_USE;

/* Whether a certificate that was taken once would be again: ERR_DENIED with *ret_why. NULL as t:
 * nothing is configured any more. */
bool tls_still_good(const struct tls *t, const struct stream *s, enum refusal *ret_why,
                    struct err *err) MUST_USE;

/* Whether the deny list names the principal, or what he has shown. t may be NULL. */
bool tls_denies(const struct tls *t, const struct identity *id, const struct principal *who);

#endif

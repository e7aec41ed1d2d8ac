/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs_tls12: what a TLS 1.2 server signs in its ECDHE ServerKeyExchange (RFC 8422 5.4).
 */
#ifndef KEYD_POLICY_TBS_TLS12_H
#define KEYD_POLICY_TBS_TLS12_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* True for client_random, server_random and one ServerECDHParams with a known named curve, nothing
 * after it. ERR_BAD_SHAPE otherwise. */
bool tbs_tls12_server(const uint8_t *message, size_t len, struct err *err) MUST_USE;

/* Whether it is what a server signs in a finite-field DHE ServerKeyExchange (RFC 5246 7.4.3: p, g
 * and Ys behind the randoms). keyd signs none; this is for saying so. */
bool tbs_tls12_is_dhe(const uint8_t *message, size_t len) MUST_USE;

#endif

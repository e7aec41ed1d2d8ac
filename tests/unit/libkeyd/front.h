/* SPDX-License-Identifier: Apache-2.0
 *
 * front: TLS 1.3 on a loopback port before the cardboard server's unix socket: it asks for a client
 * certificate of the test's authority and carries bytes to and fro.
 */
#ifndef KEYD_TESTS_UNIT_LIBKEYD_FRONT_H
#define KEYD_TESTS_UNIT_LIBKEYD_FRONT_H

#include <stdbool.h>
#include <stdint.h>

struct front;

/* Listens; `mute` never shakes hands. Certificates come from certs_make. */
struct front *front_start(const char *unix_path, bool mute);

/* "tls:127.0.0.1:PORT", in a static buffer. */
const char *front_endpoint(const struct front *f, const char *host);

/* How many connections were accepted; how many are open. */
uint32_t front_accepted(struct front *f);
/* See front_accepted. */
uint32_t front_open(struct front *f);

/* Breaks all connections, without a word. */
void front_break(struct front *f);

/* Ends it. */
void front_stop(struct front *f);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * refusals: who was turned away at the door, counted by reason, and said in the log once per burst:
 * the first of a kind at once, then a line with how many more there were, at most one in
 * REFUSAL_QUIET_S. So a flood is seen, and does not fill the log.
 */
#ifndef KEYD_GATE_REFUSALS_H
#define KEYD_GATE_REFUSALS_H

#include <stdint.h>

#include "keyd/process/msg.h"

#define REFUSAL_QUIET_S 60

enum refusal {
    /* before anything is said, over TLS */
    REFUSAL_NOT_TLS,
    REFUSAL_TLS_VERSION,
    REFUSAL_STALLED,
    REFUSAL_CROWDED_OUT,
    REFUSAL_CERT_EXPIRED,
    REFUSAL_CERT_REVOKED,
    REFUSAL_CERT_PURPOSE,
    REFUSAL_CERT_UNKNOWN_CA,
    REFUSAL_CRL,
    REFUSAL_CERT_OTHER,
    REFUSAL_HANDSHAKE,
    /* at the hello, or later */
    REFUSAL_TWO_IDENTITIES,
    REFUSAL_NOTHING_PROVEN,
    REFUSAL_NOBODY,
    REFUSAL_TOKEN,
    REFUSAL_DENY_LIST,
    REFUSAL_NO_MORE,
    /* at any time: it does not speak as a client does, and loses its connection */
    REFUSAL_OVERSIZE,
    REFUSAL_NO_MESSAGE,
    REFUSALS
};

#define REFUSAL_CODES 67 /* error codes of Sign: 0 to 66 */

struct refusal_row {
    uint64_t count;
    uint64_t said;  /* of them, told in the log */
    uint64_t quiet; /* until this moment of clock_us */
};

struct refusals {
    struct refusal_row rows[REFUSALS];
    uint64_t sign[REFUSAL_CODES]; /* by enum err_code */
};

/* "client certificate expired": for people, and in the status. */
const char *refusal_name(enum refusal r);

/* Counts one: the caller logs it. */
void refusal_count(struct refusals *r, enum refusal reason);

/* Counts one, and logs it if it is not one of a burst: `who` did it, `why` says more (may be
 * empty).
 */
void refusal_add(struct refusals *r, enum refusal reason, const char *who, const char *why);

/* Counts a Sign that was refused with this code. */
void refusal_add_sign(struct refusals *r, enum err_code code);

/* The i-th kind that ever happened, for i from 0: its name and count. False past the last. Names of
 * Sign's are "sign: BAD_SHAPE", in buf. */
bool refusal_at(const struct refusals *r, size_t i, char *buf, size_t size, uint64_t *ret_count);

/* Appends all of them to MSG_STATS. */
void refusals_put(struct chan *c, const struct refusals *r);

#endif

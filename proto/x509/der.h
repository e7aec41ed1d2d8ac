/* SPDX-License-Identifier: Apache-2.0
 *
 * der: writes DER (X.690 10) from the last byte to the first, so that each length is known when its
 * header is written. The writer's buffer is the caller's.
 */
#ifndef KEYD_PROTO_X509_DER_H
#define KEYD_PROTO_X509_DER_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define DER_HEAD_MAX 5 /* bytes of a tag and a length up to 2^24 */

struct der_out {
    uint8_t *start, *at, *end; /* what is written lies from `at` to `end` */
    bool failed;               /* it did not fit; sticky */
};

/* A writer over cap bytes at p. */
struct der_out der_out_of(uint8_t *p, size_t cap);

/* Puts n bytes in front of what is written. */
void der_raw(struct der_out *o, const void *p, size_t n);

/* Puts a header in front of all that was written since `inner` (what der_mark gave). */
void der_wrap(struct der_out *o, uint8_t tag, const uint8_t *inner);

/* The place for der_wrap: everything written from now on is inside. */
const uint8_t *der_mark(const struct der_out *o);

/* Puts one whole value in front. */
void der_value(struct der_out *o, uint8_t tag, const void *p, size_t n);

#endif

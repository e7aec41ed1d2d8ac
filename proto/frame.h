/* SPDX-License-Identifier: Apache-2.0
 *
 * frame: one message on a socket: 4 bytes of big-endian length, then that many bytes of a
 * protobuf Envelope (README.md). Only arithmetic on buffers: whoever has a socket does the I/O.
 */
#ifndef KEYD_PROTO_FRAME_H
#define KEYD_PROTO_FRAME_H

#include "proto/base/arena.h"
#include "proto/keyd.pb-c.h"

#define FRAME_HEAD        4
#define FRAME_CAP_SIGNING (64u << 10) /* of an Envelope on keyd.sock */
#define FRAME_CAP_CONTROL (1u << 20)  /* of an Envelope on control.sock */
#define PROTOCOL_VERSION  1

typedef Keyd__V1__Envelope envelope;

enum frame_state {
    FRAME_PART,    /* more bytes are needed */
    FRAME_WHOLE,   /* there is a whole frame */
    FRAME_OVERSIZE /* its length is over the cap: the connection is lost */
};

/* Looks at the head of a buffer. On FRAME_WHOLE *ret_len is the length of the envelope that begins
 * at buf + FRAME_HEAD; on FRAME_OVERSIZE the length that was claimed. */
enum frame_state frame_peek(const uint8_t *buf, size_t len, size_t cap, size_t *ret_len);

/* Reads an envelope. It and all it points to live in the arena, whose cap bounds what is allocated.
 * NULL with ERR_BAD_REQUEST for bytes that are no Envelope: the connection is lost. An envelope
 * whose body is not known (a newer peer's) is returned with body_case NOT_SET and ERR_UNSUPPORTED
 * in err: its id can be answered. */
envelope *frame_decode(struct arena *a, const uint8_t *p, size_t len, struct err *err) MUST_USE;

/* Bytes of the whole frame, head included. */
size_t frame_size(const envelope *e);

/* Writes the whole frame to out, which has room for frame_size(e) bytes. Returns that size. */
size_t frame_encode(const envelope *e, uint8_t *out);

/* Puts a failure into an Error message, which borrows err's texts; and the other way round. */
void frame_error_of(const struct err *err, Keyd__V1__Error *ret);
/* Reads an Error message into err (code, texts cut to fit, retry time). Always returns false. */
bool frame_error_to(const Keyd__V1__Error *error, struct err *err);

#endif

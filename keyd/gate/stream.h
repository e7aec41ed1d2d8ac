/* SPDX-License-Identifier: Apache-2.0
 *
 * stream: a connected socket, plain or with TLS on it, that is read and written in the same way. It
 * never blocks. The handshake is part of the first reads; nothing can be written before it is over.
 */
#ifndef KEYD_GATE_STREAM_H
#define KEYD_GATE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_st;

#define STREAM_AGAIN  (-1) /* nothing now: wait */
#define STREAM_BROKEN (-2) /* nothing ever again */

struct stream {
    int fd;
    struct ssl_st *ssl; /* NULL: plain */
    bool ready;         /* the handshake is over */
    bool more;          /* the last read may have left bytes in ssl */
    bool wants_write;   /* reading goes on when the socket takes bytes */
};

/* Reads up to n bytes. 0: the peer ended it. With STREAM_AGAIN wait for readability, or with
 * wants_write for writability. */
ssize_t stream_read(struct stream *s, void *p, size_t n);

/* Writes up to n bytes. With STREAM_AGAIN wait for writability, and then offer at least the same
 * bytes (from anywhere). */
ssize_t stream_write(struct stream *s, const void *p, size_t n);

/* Whether a read may give something without waiting for the socket. */
bool stream_pending(const struct stream *s);

/* Whether the handshake is over; of a plain one always. */
bool stream_ready(const struct stream *s);

/* Frees what TLS needs, without a word to the peer, and closes. */
void stream_close(struct stream *s);

#endif

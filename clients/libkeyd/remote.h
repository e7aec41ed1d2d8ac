/* SPDX-License-Identifier: Apache-2.0
 *
 * remote: the way to a keyd on another machine: TCP and TLS 1.3 (RFC 8446), keyd's certificate
 * verified for its name or address, our own shown if there is one. Nothing ever blocks but poll(2),
 * until the deadline.
 *
 * This may run inside an OpenSSL provider, inside an application that uses OpenSSL itself: so all
 * of it happens in a library context of its own with the default provider alone, what the
 * application has on OpenSSL's error queue is not taken for ours, and nothing of ours stays on it.
 * (A handshake empties the queue: libssl does.) After a fork the child may only forget a
 * connection: no function here but remote_forget says a word to a peer at its end, and that one
 * does not either.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_REMOTE_H
#define KEYD_CLIENTS_LIBKEYD_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/err.h"

struct remote;
struct ssl_st;

#define REMOTE_AGAIN  (-1)
#define REMOTE_BROKEN (-2)

/* Files in PEM; certificate and key may be NULL, both. */
struct remote_files {
    const char *certificate, *key, *ca;
};

/* Where a keyd is: "host:port" or "[address]:port". Reads the files; connects to nothing. Errors
 * name the file. Ended with remote_done. */
bool remote_new(struct remote **ret, const char *where, const struct remote_files *files,
                struct err *err) MUST_USE;

/* Frees; NULL is fine. */
void remote_done(struct remote *r);

/* Connects and shakes hands, until `deadline` (clock_us). The socket is non-blocking,
 * close-on-exec, never 0, 1 or 2. ERR_UNAVAILABLE: nobody is there, or did not answer in time;
 * ERR_DENIED: it is not the keyd that we want, or it does not want us. */
bool remote_connect(struct remote *r, uint64_t deadline, int *ret_fd, struct ssl_st **ret_ssl,
                    struct err *err) MUST_USE;

/* Reads up to n bytes. 0: keyd ended the connection. With REMOTE_BROKEN err says why: ERR_DENIED if
 * keyd refused our certificate, which it does after the handshake. */
ssize_t remote_read(struct ssl_st *ssl, void *p, size_t n, struct err *err);

/* Writes up to n bytes. After REMOTE_AGAIN it wants the same ones again. */
ssize_t remote_write(struct ssl_st *ssl, const void *p, size_t n);

/* Whether a read gives something without waiting for the socket. */
bool remote_pending(const struct ssl_st *ssl);

/* Frees without a word to the peer; the socket stays the caller's. NULL is fine. */
void remote_forget(struct ssl_st *ssl);

#endif

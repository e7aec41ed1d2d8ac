/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint: where keyd listens, and how to get there from a process that has changed since.
 *
 * A TLS server loads its keys as root and signs as somebody else, in a fork, often in a chroot. So
 * the socket's directory is opened (O_PATH) while the path still leads there: the anchor. Later the
 * plain path is tried first. Only when it leads nowhere, or to another directory than the anchor,
 * the anchor is used: there is no connectat(2), so the calling thread makes its working directory
 * its own (unshare(CLONE_FS), for ever, hence never without need), steps into the anchor, connects
 * and steps back. No thread is needed for that: HAProxy's workers may not start one.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_ENDPOINT_H
#define KEYD_CLIENTS_LIBKEYD_ENDPOINT_H

#include <stdatomic.h>
#include <sys/un.h>

#include "proto/base/err.h"

struct anchor;

struct endpoint {
    struct sockaddr_un whole; /* the path as it was given */
    struct sockaddr_un last;  /* its last component, for connecting from the anchor */
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    _Atomic(struct anchor *) anchor; /* NULL while the directory could not be opened */
};

/* Fills ep for an absolute path of at most 107 bytes and opens its directory; one that is not there
 * yet is no error. Fails with ERR_BAD_REQUEST. Ended with endpoint_done. */
bool endpoint_init(struct endpoint *ep, const char *path, struct err *err) MUST_USE;

/* Closes the anchor. */
void endpoint_done(struct endpoint *ep);

/* Connects, without blocking, a new stream socket: non-blocking, close-on-exec, never 0, 1 or 2.
 * Fails with ERR_UNAVAILABLE (the error says whether the socket is missing, forbidden or deserted)
 * or ERR_INTERNAL (no descriptor). */
bool endpoint_connect(struct endpoint *ep, int *ret_fd, struct err *err) MUST_USE;

#endif

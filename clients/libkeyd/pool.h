/* SPDX-License-Identifier: Apache-2.0
 *
 * pool: the connections of one process, safe for threads and forks, without any lock.
 *
 * A slot is taken and given back by one atomic step on its state, so there is no mutex that a fork
 * could copy in its locked state. A pool belongs to the process that made it: whoever finds another
 * pid in it makes a new pool and closes the inherited descriptors, without a byte sent, whatever
 * the parent's threads were doing with them. A connection holds no buffers (calls do), so the
 * abandoned pool is one piece of memory that the last of its heirs frees with the client.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_POOL_H
#define KEYD_CLIENTS_LIBKEYD_POOL_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "clients/libkeyd/endpoint.h"
#include "clients/libkeyd/remote.h"

#define POOL_SLOTS 32 /* more calls at once are served too, by connections that are not kept */

struct conn {
    atomic_int state; /* free, busy, idle */
    /* The socket; -1: none. Set after `inode` and cleared before the descriptor is closed, so that
     * a child forked at any moment finds here only what is ours. */
    atomic_int fd;
    ino_t inode;
    struct ssl_st *ssl; /* NULL: a unix socket */
    bool kept;          /* lies in a slot */
    bool greeted;       /* HelloReply has come */
    uint32_t max_frame; /* from HelloReply */
    uint32_t max_in_flight;
    uint64_t next_id; /* of the next request */
};

struct pool;

struct pools {
    _Atomic(struct pool *) own; /* the youngest; older ones are inherited */
};

/* Takes a connection of this process: an idle one that is alive, else *ret has no socket yet (fd
 * -1). Fails with ERR_INTERNAL without memory. Given back with pool_give. */
bool pool_take(struct pools *pools, struct conn **ret, struct err *err) MUST_USE;

/* Connects a taken connection that has no socket, to a keyd elsewhere (`remote`, until `deadline`)
 * or, if that is NULL, on this machine. Errors as remote_connect or endpoint_connect. */
bool pool_connect(struct conn *conn, struct endpoint *ep, struct remote *remote, uint64_t deadline,
                  struct err *err) MUST_USE;

/* Closes a taken connection's socket; it stays taken. */
void pool_disconnect(struct conn *conn);

/* Gives a taken connection back; with a socket it is kept for the next call. */
void pool_give(struct conn *conn);

/* Closes all connections and frees. */
void pools_done(struct pools *pools);

#endif

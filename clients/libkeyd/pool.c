/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/pool.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/mem.h"

enum { SLOT_FREE, SLOT_BUSY, SLOT_IDLE };

struct pool {
    pid_t pid;
    struct pool *older; /* inherited by fork, descriptors closed */
    struct conn slots[POOL_SLOTS];
};

static bool change(struct conn *c, int from, int to)
{
    return atomic_compare_exchange_strong(&c->state, &from, to);
}

/* Whether the descriptor is still the socket that we opened, and not something that got its number
 * after the application closed it over our head. */
static bool still_ours(const struct conn *c, int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == c->inode;
}

void pool_disconnect(struct conn *conn)
{
    int fd = atomic_exchange(&conn->fd, -1);

    remote_forget(conn->ssl);
    conn->ssl = NULL;
    if (still_ours(conn, fd))
        close(fd);
}

static struct pool *pool_new(struct pool *older)
{
    struct pool *p = mem_new(sizeof(*p));

    if (!p)
        return NULL;
    p->pid = getpid();
    p->older = older;
    for (size_t i = 0; i < POOL_SLOTS; i++) {
        p->slots[i].kept = true;
        atomic_init(&p->slots[i].fd, -1);
    }
    return p;
}

/* Closes the sockets that came over a fork. No other thread of this process uses them. But a thread
 * of the parent may have been at work on a busy one when the fork copied it: what TLS has there may
 * be in pieces, and is left alone for good. */
static void abandon(struct pool *p)
{
    for (size_t i = 0; i < POOL_SLOTS; i++) {
        if (atomic_load(&p->slots[i].state) == SLOT_BUSY)
            p->slots[i].ssl = NULL;
        pool_disconnect(&p->slots[i]);
    }
}

/* This process's pool; NULL without memory. */
static struct pool *own_pool(struct pools *pools)
{
    struct pool *there = atomic_load(&pools->own);

    if (there && there->pid == getpid())
        return there;
    struct pool *fresh = pool_new(there);
    if (!fresh)
        return NULL;
    if (!atomic_compare_exchange_strong(&pools->own, &there, fresh)) {
        mem_free(fresh); /* another thread of this process was faster */
        return there;
    }
    if (there)
        abandon(there);
    return fresh;
}

/* An idle connection has nothing to read: bytes or an end mean that keyd has closed it. */
static bool alive(const struct conn *c)
{
    int fd = atomic_load(&c->fd);
    char byte;

    if (!still_ours(c, fd))
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct conn *take_idle(struct pool *p)
{
    for (size_t i = 0; i < POOL_SLOTS; i++) {
        struct conn *c = &p->slots[i];

        if (!change(c, SLOT_IDLE, SLOT_BUSY))
            continue;
        if (alive(c))
            return c;
        pool_disconnect(c);
        atomic_store(&c->state, SLOT_FREE);
    }
    return NULL;
}

static struct conn *take_free(struct pool *p)
{
    for (size_t i = 0; i < POOL_SLOTS; i++)
        if (change(&p->slots[i], SLOT_FREE, SLOT_BUSY))
            return &p->slots[i];
    struct conn *c = mem_new(sizeof(*c));
    if (c)
        atomic_init(&c->fd, -1);
    return c;
}

bool pool_take(struct pools *pools, struct conn **ret, struct err *err)
{
    struct pool *p = own_pool(pools);
    struct conn *c = p ? take_idle(p) : NULL;

    if (p && !c)
        c = take_free(p);
    if (!c)
        return err_set(err, ERR_INTERNAL, "no memory for a connection");
    *ret = c;
    return true;
}

bool pool_connect(struct conn *conn, struct endpoint *ep, struct remote *remote, uint64_t deadline,
                  struct err *err)
{
    struct ssl_st *ssl = NULL;
    struct stat st;
    int fd;

    TRY(remote ? remote_connect(remote, deadline, &fd, &ssl, err) : endpoint_connect(ep, &fd, err));
    if (fstat(fd, &st) != 0) {
        remote_forget(ssl);
        close(fd);
        return err_errno(err, ERR_INTERNAL, errno, "cannot look at a new socket");
    }
    conn->ssl = ssl;
    conn->inode = st.st_ino;
    conn->greeted = false;
    atomic_store(&conn->fd, fd);
    return true;
}

void pool_give(struct conn *conn)
{
    bool open = atomic_load(&conn->fd) >= 0;

    if (conn->kept) {
        atomic_store(&conn->state, open ? SLOT_IDLE : SLOT_FREE);
        return;
    }
    pool_disconnect(conn);
    mem_free(conn);
}

void pools_done(struct pools *pools)
{
    struct pool *p = atomic_exchange(&pools->own, NULL);

    while (p) {
        struct pool *older = p->older;

        abandon(p);
        mem_free(p);
        p = older;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/mem.h"

/* Never changed once it is published. dev and ino prove that fd is still ours: an application that
 * closes descriptors it does not know may have reused the number. */
struct anchor {
    int fd;
    dev_t dev;
    ino_t ino;
};

static bool same_directory(const struct anchor *a, const struct stat *st)
{
    return a->dev == st->st_dev && a->ino == st->st_ino && S_ISDIR(st->st_mode);
}

static void anchor_close(struct anchor *a)
{
    struct stat st;

    if (fstat(a->fd, &st) == 0 && same_directory(a, &st))
        close(a->fd);
    mem_free(a);
}

/* Moves a descriptor above 2: an application without stdio would print into it. */
static int above_stdio(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int e = errno;
    close(fd);
    errno = e;
    return high;
}

static struct anchor *anchor_open(const char *dir)
{
    int fd = above_stdio(open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat st;

    if (fd < 0)
        return NULL;
    struct anchor *a = fstat(fd, &st) == 0 ? mem_new(sizeof(*a)) : NULL;
    if (!a) {
        close(fd);
        return NULL;
    }
    *a = (struct anchor){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
    return a;
}

/* The anchor, opened now if it could not be before; NULL if it still cannot. */
static struct anchor *anchor_of(struct endpoint *ep)
{
    struct anchor *there = atomic_load(&ep->anchor);

    if (there)
        return there;
    struct anchor *fresh = anchor_open(ep->dir);
    if (!fresh)
        return NULL;
    if (atomic_compare_exchange_strong(&ep->anchor, &there, fresh))
        return fresh;
    anchor_close(fresh); /* another thread was faster */
    return there;
}

bool endpoint_init(struct endpoint *ep, const char *path, struct err *err)
{
    size_t len = strlen(path);
    const char *slash = strrchr(path, '/');

    *ep = (struct endpoint){.whole.sun_family = AF_UNIX, .last.sun_family = AF_UNIX};
    if (path[0] != '/')
        return err_set(err, ERR_BAD_REQUEST, "the socket's path '%s' is not absolute", path);
    if (len >= sizeof(ep->whole.sun_path)) {
        err_set(err, ERR_BAD_REQUEST, "the socket's path '%s' has %zu bytes; it may have %zu", path,
                len, sizeof(ep->whole.sun_path) - 1);
        return err_hint(err, "move the state directory to a shorter path, or link to it");
    }
    if (!slash[1])
        return err_set(err, ERR_BAD_REQUEST, "the socket's path '%s' names a directory", path);
    memcpy(ep->whole.sun_path, path, len + 1);
    memcpy(ep->last.sun_path, slash + 1, strlen(slash + 1) + 1);
    memcpy(ep->dir, path, slash == path ? 1 : (size_t)(slash - path));
    (void)anchor_of(ep);
    return true;
}

void endpoint_done(struct endpoint *ep)
{
    struct anchor *a = atomic_exchange(&ep->anchor, NULL);

    if (a)
        anchor_close(a);
}

static int connect_to(int fd, const struct sockaddr_un *to)
{
    int r;

    do {
        r = connect(fd, (const struct sockaddr *)to, sizeof(*to));
    } while (r != 0 && errno == EINTR);
    return r == 0 ? 0 : errno;
}

/* Whether `error` of the plain path may come from a change of root or user. When the path still
 * leads to the anchor it does not: then keyd is down, or this user may not talk to it. */
static bool lost_the_way(const struct endpoint *ep, const struct anchor *a, int error)
{
    struct stat st;

    if (!a || (error != ENOENT && error != EACCES && error != ENOTDIR))
        return false;
    return stat(ep->dir, &st) != 0 || !same_directory(a, &st);
}

static int step_in_and_connect(const struct endpoint *ep, const struct anchor *a, int fd)
{
    struct stat st;

    if (fstat(a->fd, &st) != 0 || !same_directory(a, &st))
        return ENOENT;
    if (unshare(CLONE_FS) != 0 || fchdir(a->fd) != 0)
        return errno;
    return connect_to(fd, &ep->last);
}

/* Returns 0 or an errno value; the working directory is again what it was. */
static int connect_from_anchor(const struct endpoint *ep, const struct anchor *a, int fd)
{
    int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (back < 0)
        return errno;
    int e = step_in_and_connect(ep, a, fd);
    if (fchdir(back) != 0 && e == 0)
        e = errno;
    close(back);
    return e;
}

static bool explain(const struct endpoint *ep, int error, struct err *err)
{
    const char *path = ep->whole.sun_path;
    struct stat st;

    switch (error) {
    case ENOENT:
    case ENOTDIR:
        err_set(err, ERR_UNAVAILABLE, "cannot reach keyd: there is no %s %s",
                stat(ep->dir, &st) == 0 ? "socket" : "directory for the socket", path);
        return err_hint(err, "start keyd, or name the socket of the one that runs");
    case ECONNREFUSED:
        err_set(err, ERR_UNAVAILABLE, "cannot reach keyd: nobody listens on %s", path);
        return err_hint(err, "start keyd: the one that made this socket has ended");
    case EACCES:
    case EPERM:
        err_set(err, ERR_UNAVAILABLE, "cannot reach keyd: uid %u has no permission for %s",
                (unsigned)geteuid(), path);
        return err_hint(err, "the user must be in the group of the directory %s", ep->dir);
    case EAGAIN:
        err_set(err, ERR_UNAVAILABLE, "cannot reach keyd: too many wait to connect to %s", path);
        return err_hint(err, "keyd is overloaded or stuck: look at its log");
    default:
        return err_errno(err, ERR_UNAVAILABLE, error, "cannot reach keyd at %s", path);
    }
}

bool endpoint_connect(struct endpoint *ep, int *ret_fd, struct err *err)
{
    int fd = above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (fd < 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot make a socket");
    const struct anchor *a = anchor_of(ep);
    int e = connect_to(fd, &ep->whole);
    if (lost_the_way(ep, a, e))
        e = connect_from_anchor(ep, a, fd);
    if (e != 0) {
        close(fd);
        return explain(ep, e, err);
    }
    *ret_fd = fd;
    return true;
}

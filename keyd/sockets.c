/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/sockets.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static const char *const names[SOCKETS] = {"frontend/keyd.sock", "control/control.sock"};

static bool group_of(const char *name, gid_t *ret, struct err *err)
{
    struct group *g;

    *ret = (gid_t)-1;
    if (!*name)
        return true;
    g = getgrnam(name);
    if (!g) {
        err_set(err, ERR_BAD_REQUEST, "there is no group \"%s\"", name);
        return err_hint(err, "groupadd --system %s, or name another one in [sockets]", name);
    }
    *ret = g->gr_gid;
    return true;
}

static bool owner_of(const struct config *c, uid_t *ret, struct err *err)
{
    struct passwd *user;

    *ret = (uid_t)-1;
    if (!*c->user || geteuid() != 0)
        return true;
    user = getpwnam(c->user);
    if (!user)
        return err_set(err, ERR_BAD_REQUEST, "there is no user \"%s\"", c->user);
    *ret = user->pw_uid;
    return true;
}

static bool make_folder(const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        return err_errno(err, ERR_STORAGE, errno, "cannot make the folder %s", path);
    if (chmod(path, mode) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot set the mode of %s", path);
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && chown(path, uid, gid) != 0) {
        err_errno(err, ERR_STORAGE, errno, "cannot give %s to its group", path);
        return err_hint(err, "only root, or a member of the group, can");
    }
    return true;
}

static bool listen_at(const char *path, uid_t uid, gid_t gid, int *ret_fd, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot make a socket");
    memcpy(addr.sun_path, path, strlen(path));
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        err_errno(err, ERR_STORAGE, errno, "cannot bind %s", path);
    else if (chmod(path, 0660) != 0 ||
             ((uid != (uid_t)-1 || gid != (gid_t)-1) && chown(path, uid, gid) != 0))
        err_errno(err, ERR_STORAGE, errno, "cannot give %s to its group", path);
    else if (listen(fd, BACKLOG) != 0)
        err_errno(err, ERR_INTERNAL, errno, "cannot listen on %s", path);
    else {
        *ret_fd = fd;
        return true;
    }
    close(fd);
    return false;
}

static bool open_one(const struct config *c, size_t which, uid_t uid, int *ret_fd, struct err *err)
{
    char path[SOCKET_PATH_MAX + 1], folder[SOCKET_PATH_MAX + 1];
    gid_t gid;

    TRY(group_of(which == SOCKET_FRONTEND ? c->frontend_group : c->control_group, &gid, err));
    TRY(config_socket_path(c, names[which], path, err));
    memcpy(folder, path, sizeof(folder));
    *strrchr(folder, '/') = 0;
    TRY(make_folder(folder, 0750, uid, gid, err));
    return listen_at(path, uid, gid, ret_fd, err);
}

bool sockets_open(const struct config *c, int ret_fds[SOCKETS], struct err *err)
{
    int fds[SOCKETS];
    uid_t uid;

    TRY(owner_of(c, &uid, err));
    if (mkdir(c->run_dir, 0755) != 0 && errno != EEXIST)
        return err_errno(err, ERR_STORAGE, errno, "cannot make the folder %s", c->run_dir);
    if (uid != (uid_t)-1 && chown(c->run_dir, uid, (gid_t)-1) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot give %s to %s", c->run_dir, c->user);
    TRY(open_one(c, SOCKET_FRONTEND, uid, &fds[SOCKET_FRONTEND], err));
    TRY(open_one(c, SOCKET_CONTROL_PLANE, uid, &fds[SOCKET_CONTROL_PLANE], err));
    memcpy(ret_fds, fds, sizeof(fds));
    return true;
}

static bool listen_tls(const struct config *c, size_t which, int *ret_fd, struct err *err)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int on = 1;

    TRY(config_tls_address(c, which, &addr, &len, err));
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot make a socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (addr.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, BACKLOG) != 0) {
        err_errno(err, ERR_STORAGE, errno, "cannot listen on %s", c->tls_listen[which]);
        close(fd);
        return err_hint(err, "it must be an address of this machine that nobody else listens on");
    }
    *ret_fd = fd;
    return true;
}

bool sockets_open_tls(const struct config *c, int ret_fds[SOCKETS], struct err *err)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        ret_fds[i] = -1;
        if (*c->tls_listen[i])
            TRY(listen_tls(c, i, &ret_fds[i], err));
    }
    return true;
}

void sockets_remove(const struct config *c)
{
    char path[SOCKET_PATH_MAX + 1];
    struct err ignored;

    for (size_t i = 0; i < SOCKETS; i++) {
        if (config_socket_path(c, names[i], path, &ignored))
            unlink(path);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 8192 /* room for what has no size; locked memory is scarce */

static bool grow(struct secret *s, size_t room, struct err *err)
{
    struct secret bigger = {0};

    TRY(secret_new(&bigger, room, err));
    memcpy(bigger.bytes, s->bytes, s->len);
    bigger.len = s->len;
    secret_free(s);
    *s = bigger;
    return true;
}

static bool too_large(size_t cap, const char *name, struct err *err)
{
    err_set(err, ERR_TOO_LARGE, "%s has more than %zu KiB, which no key or certificate has", name,
            cap >> 10);
    return err_hint(err, "is the path right?");
}

static bool read_all(struct secret *s, size_t room, int fd, size_t cap, const char *name,
                     struct err *err)
{
    for (;;) {
        if (s->len == room && room <= cap) {
            room = room < cap / 2 ? room * 2 : cap + 1;
            TRY(grow(s, room, err));
        }
        if (s->len > cap)
            return too_large(cap, name, err);
        ssize_t n = read(fd, s->bytes + s->len, room - s->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, ERR_STORAGE, errno, "cannot read %s", name);
        if (n == 0)
            return true;
        s->len += (size_t)n;
    }
}

static bool read_fd(int fd, size_t cap, const char *name, struct secret *ret, struct err *err)
{
    struct secret s = {0};
    struct stat st;
    size_t room = FIRST;

    if (fstat(fd, &st) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot look at %s", name);
    if (S_ISDIR(st.st_mode))
        return err_set(err, ERR_BAD_REQUEST, "%s is a directory, and no file", name);
    if (S_ISREG(st.st_mode) && st.st_size > (off_t)cap)
        return too_large(cap, name, err);
    if (S_ISREG(st.st_mode))
        room = (size_t)st.st_size + 1;
    TRY(secret_new(&s, room, err));
    if (!read_all(&s, room, fd, cap, name, err)) {
        secret_free(&s);
        return false;
    }
    *ret = s;
    return true;
}

static bool cannot_open(const char *path, int e, struct err *err)
{
    enum err_code code = e == ENOENT || e == ENOTDIR ? ERR_NOT_FOUND
                         : e == EACCES || e == EPERM ? ERR_DENIED
                                                     : ERR_STORAGE;

    return err_errno(err, code, e, "cannot open %s", path);
}

bool source_read(const char *path, size_t cap, struct secret *ret, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return read_fd(STDIN_FILENO, cap, "stdin", ret, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cannot_open(path, errno, err);
    bool ok = read_fd(fd, cap, path, ret, err);
    close(fd);
    return ok;
}

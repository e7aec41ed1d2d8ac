/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/mem.h"

#define FILE_PATH 640

static const char *beside(const struct pin *p, const char *suffix, char buf[FILE_PATH])
{
    snprintf(buf, FILE_PATH, "%s.%s", p->path, suffix);
    return buf;
}

static bool sync_folder(const struct pin *p, struct err *err)
{
    char folder[FILE_PATH];

    snprintf(folder, sizeof(folder), "%s", p->path);
    strrchr(folder, '/')[1] = 0; /* absolute: token_uri_pin_source */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return ok || err_errno(err, ERR_STORAGE, e, "cannot make %s durable", folder);
}

/* ---- reading */

static bool read_first(struct pin *p, struct err *err)
{
    TRY(secret_read_file(&p->now, p->path, PIN_MAX_LEN, err));
    return p->now.len > 0 || err_set(err, ERR_BAD_REQUEST, "%s is empty", p->path);
}

/* One that is empty or the same was never given to the token. */
static bool read_second(struct pin *p, struct err *err)
{
    char name[FILE_PATH];

    if (access(beside(p, "new", name), F_OK) != 0 && errno == ENOENT)
        return true;
    if (!secret_read_file(&p->other, name, PIN_MAX_LEN, err)) {
        err_prefix(err, "a change of the PIN was cut short");
        return *err->hint ? false
                          : err_hint(err, "the token has the PIN in %.60s or the one in that file",
                                     p->path);
    }
    if (p->other.len == 0 || secret_equal(&p->now, &p->other)) {
        secret_free(&p->other);
        if (unlink(name) != 0)
            return err_errno(err, ERR_STORAGE, errno, "cannot remove %s", name);
        return true;
    }
    p->state = PIN_OPEN;
    return true;
}

bool pin_read(struct pin *ret, const char *path, struct err *err)
{
    struct pin p = {.state = PIN_SETTLED};

    snprintf(p.path, sizeof(p.path), "%s", path);
    if (!read_first(&p, err) || !read_second(&p, err)) {
        pin_free(&p);
        return false;
    }
    *ret = p;
    return true;
}

void pin_free(struct pin *p)
{
    secret_free(&p->now);
    secret_free(&p->other);
}

/* ---- the new one */

/* Only a file can be replaced, and only if it still holds what the token was opened with. */
static bool replaceable(const struct pin *p, struct err *err)
{
    struct stat st;
    CLEANUP(secret_free) struct secret there = {0};

    if (lstat(p->path, &st) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot look at %s", p->path);
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_UNSUPPORTED, "pin-source %s is no plain file: keyd cannot replace it",
                p->path);
        return err_hint(err, "stop keyd, set the PIN by the vendor's tool, put it where pin-source "
                             "reads it, start keyd");
    }
    TRY(secret_read_file(&there, p->path, PIN_MAX_LEN, err));
    if (secret_equal(&there, &p->now))
        return true;
    err_set(err, ERR_CONFLICT, "%s was changed since keyd read it: it does not hold the PIN in use",
            p->path);
    return err_hint(err, "put the token's PIN back into it, or restart keyd");
}

static bool fits(size_t len, uint32_t least, uint32_t most)
{
    return len >= least && (most == 0 || len <= most);
}

/* Its owner and nobody else may know it. */
static bool private_file(const char *name, struct err *err)
{
    struct stat st;

    if (lstat(name, &st) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot look at %s", name);
    if (S_ISREG(st.st_mode) && (st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & 077))
        return true;
    err_set(err, ERR_DENIED, "%s has mode %04o and belongs to uid %u", name,
            (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
    return err_hint(err, "it must be a plain file of uid %u or root, mode 0600",
                    (unsigned)geteuid());
}

static bool take_next(const struct pin *p, const char *name, uint32_t least, uint32_t most,
                      struct secret *ret, struct err *err)
{
    TRY(private_file(name, err));
    TRY(secret_read_file(ret, name, PIN_MAX_LEN, err));
    if (ret->len == 0 || memchr(ret->bytes, 0, ret->len) || memchr(ret->bytes, '\n', ret->len))
        return err_set(err, ERR_BAD_REQUEST, "%s holds no PIN: it must be one line", name);
    if (!fits(ret->len, least, most))
        return err_set(err, ERR_BAD_REQUEST,
                       "the PIN in %s has %zu characters; the token takes %u to %u", name, ret->len,
                       least, most ? most : PIN_MAX_LEN);
    if (!secret_equal(ret, &p->now))
        return true;
    err_set(err, ERR_BAD_REQUEST, "%s holds the PIN that is in use already", name);
    return err_hint(err, "put another one there, or remove it: then keyd makes one");
}

static bool make(const struct pin *p, uint32_t least, uint32_t most, struct secret *ret,
                 struct err *err)
{
    char name[FILE_PATH];
    size_t len = least > PIN_DIGITS ? least : PIN_DIGITS;

    if (len <= PIN_MAX_LEN && fits(len, least, most))
        return secret_random_digits(ret, len, err);
    err_set(err, ERR_UNSUPPORTED,
            "the token takes PINs of %u to %u characters; one of keyd's own has %u digits", least,
            most, PIN_DIGITS);
    return err_hint(err, "put one of your own into %s (0600) and repeat this",
                    beside(p, "next", name));
}

static bool write_new(const char *name, const struct secret *pin, struct err *err)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        err_errno(err, ERR_STORAGE, errno, "cannot make %s", name);
        return err_hint(err, "the folder must be keyd's to write: move the PIN file, and name its "
                             "new place in pin-source");
    }
    bool ok = write(fd, pin->bytes, pin->len) == (ssize_t)pin->len && write(fd, "\n", 1) == 1 &&
              fsync(fd) == 0;
    int e = errno;
    if (close(fd) == 0 && ok)
        return true;
    unlink(name);
    return err_errno(err, ERR_STORAGE, e, "cannot write %s", name);
}

static bool choose(struct pin *p, uint32_t least, uint32_t most, struct secret *ret,
                   struct err *err)
{
    char name[FILE_PATH];
    bool given = access(beside(p, "next", name), F_OK) == 0 || errno != ENOENT;

    TRY(given ? take_next(p, name, least, most, ret, err) : make(p, least, most, ret, err));
    p->given = given;
    return true;
}

bool pin_offer(struct pin *p, uint32_t least, uint32_t most, struct err *err)
{
    CLEANUP(secret_free) struct secret pin = {0};
    char name[FILE_PATH];

    TRY(replaceable(p, err));
    TRY(choose(p, least, most, &pin, err));
    TRY(write_new(beside(p, "new", name), &pin, err));
    if (!sync_folder(p, err)) {
        unlink(name);
        return false;
    }
    p->other = pin;
    pin = (struct secret){0};
    p->turned = p->refused = false;
    p->state = PIN_GIVEN;
    return true;
}

/* ---- which of the two */

bool pin_swap(struct pin *p, struct err *err)
{
    char name[FILE_PATH];
    struct secret now = p->now;

    p->now = p->other;
    p->other = now;
    if (renameat2(AT_FDCWD, beside(p, "new", name), AT_FDCWD, p->path, RENAME_EXCHANGE) != 0) {
        p->turned = !p->turned;
        return err_errno(err, ERR_STORAGE, errno, "cannot exchange %s and %s", name, p->path);
    }
    return sync_folder(p, err);
}

static void drop_next(const struct pin *p)
{
    char name[FILE_PATH];
    struct err err;
    CLEANUP(secret_free) struct secret next = {0};

    if (access(beside(p, "next", name), F_OK) == 0 &&
        secret_read_file(&next, name, PIN_MAX_LEN, &err) && secret_equal(&next, &p->now))
        unlink(name);
}

bool pin_settle(struct pin *p, struct err *err)
{
    char name[FILE_PATH];

    beside(p, "new", name);
    if (p->turned ? rename(name, p->path) != 0 : unlink(name) != 0 && errno != ENOENT)
        return err_errno(err, ERR_STORAGE, errno, "cannot %s %s",
                         p->turned ? "give its name to" : "remove", name);
    drop_next(p);
    secret_free(&p->other);
    p->turned = p->refused = false;
    p->state = PIN_SETTLED;
    return sync_folder(p, err);
}

bool pin_is_new(const struct pin *p)
{
    char name[FILE_PATH];
    struct stat file, other;

    if (stat(p->path, &file) != 0 || stat(beside(p, "new", name), &other) != 0)
        return false;
    bool younger = file.st_mtim.tv_sec != other.st_mtim.tv_sec
                       ? file.st_mtim.tv_sec > other.st_mtim.tv_sec
                       : file.st_mtim.tv_nsec > other.st_mtim.tv_nsec;
    return younger != p->turned;
}

int pin_pipe(const struct secret *pin)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    bool ok = write(ends[1], pin->bytes, pin->len) == (ssize_t)pin->len;
    close(ends[1]);
    if (!ok) {
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/tlsfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/process/sealed.h"
#include "proto/base/buf.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"
#include "proto/base/wr.h"

#define KEY_MAX  (64u << 10)
#define FILE_MAX (16u << 20) /* a CRL may be long */
#define CHUNK    (64u << 10)
#define ALL_MAX  (4 * FILE_MAX)

static bool put(struct buf *b, const void *p, size_t n, struct err *err)
{
    uint8_t *room = buf_room(b, n, ALL_MAX);

    if (!room)
        return err_set(err, ERR_TOO_LARGE, "the files of [tls] have more than %u MiB",
                       ALL_MAX >> 20);
    memcpy(room, p, n);
    buf_fill(b, n);
    return true;
}

static bool put_part(struct buf *all, const char *path, const void *bytes, size_t len,
                     struct err *err)
{
    uint8_t head[600];
    struct wr w = wr_of(head, sizeof(head));

    wr_text(&w, path);
    wr_u32(&w, (uint32_t)len);
    if (!wr_ok(&w))
        return err_set(err, ERR_TOO_LARGE, "the path %s is too long", path);
    return put(all, head, w.len, err) && put(all, bytes, len, err);
}

/* The key is among them, and what the buffer outgrows would lie about: so it has its size first. */
static bool reserve(const struct config *c, struct buf *all, struct err *err)
{
    size_t n = CHUNK;
    struct stat st;

    for (int i = 0; i < TLS_FILES; i++)
        if (*c->tls_files[i] && stat(c->tls_files[i], &st) == 0 && st.st_size < FILE_MAX)
            n += (size_t)st.st_size;
    return buf_room(all, n, ALL_MAX) || err_set(err, ERR_INTERNAL, "no memory for the files");
}

static bool read_into(struct buf *b, int fd, const char *path, struct err *err)
{
    for (;;) {
        uint8_t *room = buf_room(b, CHUNK, FILE_MAX);

        if (!room)
            return err_set(err, ERR_TOO_LARGE, "%s has more than %u MiB", path, FILE_MAX >> 20);
        ssize_t n = read(fd, room, CHUNK);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_STORAGE, errno, "cannot read %s", path);
        if (n > 0)
            buf_fill(b, (size_t)n);
    }
}

static bool read_open(struct buf *all, const char *path, int fd, struct err *err)
{
    struct buf b = {0};
    struct stat st;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    if (!ok)
        err_set(err, ERR_BAD_REQUEST, "%s is no file", path);
    ok = ok && read_into(&b, fd, path, err) && put_part(all, path, buf_head(&b), b.len, err);
    buf_free(&b);
    return ok;
}

static bool read_plain(struct buf *all, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
    bool ok = read_open(all, path, fd, err);
    close(fd);
    return ok;
}

static bool read_key(struct buf *all, const char *path, struct err *err)
{
    struct secret key CLEANUP(secret_free) = {0};

    TRY(secret_read_file(&key, path, KEY_MAX, err));
    return put_part(all, path, key.bytes, key.len, err);
}

static bool read_one(struct buf *all, const char *path, enum tls_file which, struct err *err)
{
    if (!*path)
        return put_part(all, "", "", 0, err);
    return which == TLS_KEY ? read_key(all, path, err) : read_plain(all, path, err);
}

static bool read_all(const struct config *c, struct buf *all, struct err *err)
{
    TRY(reserve(c, all, err));
    for (int i = 0; i < TLS_FILES; i++)
        if (!read_one(all, c->tls_files[i], (enum tls_file)i, err))
            return err_prefix(err, "[tls] %s", gate_tls_file((enum tls_file)i));
    return true;
}

static bool any(const struct config *c)
{
    bool named = false;

    for (int i = 0; i < TLS_FILES; i++)
        named = named || *c->tls_files[i];
    return named;
}

bool tlsfiles_read(const struct config *c, int *ret_fd, char *ret_warning, size_t size,
                   struct err *err)
{
    struct buf all = {0};

    if (!any(c)) {
        *ret_fd = -1;
        *ret_warning = 0;
        return true;
    }
    bool ok = read_all(c, &all, err) &&
              gate_tls_check(buf_head(&all), all.len, ret_warning, size, err) &&
              sealed_make("tls-files", buf_head(&all), all.len, ret_fd, err);
    if (all.bytes)
        secret_wipe(all.bytes, all.cap);
    buf_free(&all);
    return ok;
}

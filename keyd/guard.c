/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUARDED_MAX 65536 /* bytes; SoftHSM's file has 320 */
#define FILE_PATH   1024

static bool file_in(const struct guard *g, const char *name, char ret[FILE_PATH])
{
    return snprintf(ret, FILE_PATH, "%s/guard/%s", g->state_dir, name) < FILE_PATH;
}

/* Reads at most size bytes; *ret_len 0 for a file that is not there. */
static bool read_file(const char *path, char *bytes, size_t size, size_t *ret_len, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 1;

    *ret_len = 0;
    if (fd < 0 && errno == ENOENT)
        return true;
    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
    while (n > 0 && len < size) {
        n = read(fd, bytes + len, size - len);
        if (n > 0)
            len += (size_t)n;
    }
    int e = errno;
    close(fd);
    if (n < 0)
        return err_errno(err, ERR_STORAGE, e, "cannot read %s", path);
    if (len == size)
        return err_set(err, ERR_TOO_LARGE, "%s has %zu bytes or more", path, size);
    *ret_len = len;
    return true;
}

static bool sync_folder_of(const char *path, struct err *err)
{
    char folder[FILE_PATH];

    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        err_errno(err, ERR_STORAGE, errno, "cannot make %s durable", folder);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool sync_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        err_errno(err, ERR_STORAGE, errno, "cannot make %s durable", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Writes beside, fsyncs, renames, fsyncs the folder: at every moment the old or the new file. */
static bool replace_file(const char *path, const char *bytes, size_t len, struct err *err)
{
    char beside[FILE_PATH + 8];

    snprintf(beside, sizeof(beside), "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s", beside);
    bool ok = write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
    int e = errno;
    if (close(fd) != 0 || !ok)
        return err_errno(err, ERR_STORAGE, e, "cannot write %s", beside);
    if (rename(beside, path) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot rename %s", beside);
    return sync_folder_of(path, err);
}

bool guard_open(struct guard *ret, const char *state_dir, struct err *err)
{
    struct guard g = {0};
    char name[FILE_PATH];
    size_t len;

    snprintf(g.state_dir, sizeof(g.state_dir), "%s", state_dir);
    if (!file_in(&g, "path", name))
        return err_set(err, ERR_BAD_REQUEST, "state-dir is too long");
    TRY(read_file(name, g.path, sizeof(g.path), &len, err));
    g.path[len] = 0;
    *ret = g;
    return true;
}

static bool below(const char *folder, const char *path)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && path[n] == '/' && !strstr(path, "/../");
}

bool guard_learn(struct guard *g, const char *path, struct err *err)
{
    char bytes[GUARDED_MAX], name[FILE_PATH];
    size_t len;

    if (!below(g->state_dir, path) || strlen(path) >= sizeof(g->path))
        return err_set(err, ERR_BAD_REQUEST, "%.200s is not below %s: not guarded", path,
                       g->state_dir);
    /* First the file itself: a copy that is newer than what a power cut leaves would not fit the
     * PIN file, after a change of the PIN. */
    TRY(sync_file(path, err));
    TRY(read_file(path, bytes, sizeof(bytes), &len, err));
    if (len == 0)
        return err_set(err, ERR_STORAGE, "%s is empty: its old copy is kept", path);
    file_in(g, "", name);
    if (mkdir(name, 0700) != 0 && errno != EEXIST)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s", name);
    /* Copy first: a name without a copy would guard nothing, and say so nowhere. */
    file_in(g, "copy", name);
    TRY(replace_file(name, bytes, len, err));
    file_in(g, "path", name);
    TRY(replace_file(name, path, strlen(path), err));
    snprintf(g->path, sizeof(g->path), "%s", path);
    return true;
}

/* A folder that is gone is not made anew: the token may have been moved, or put another for it. */
static bool folder_there(const char *path, struct err *err)
{
    char folder[FILE_PATH];

    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = 0;
    return access(folder, F_OK) == 0 ||
           err_set(err, ERR_STORAGE,
                   "the folder %s of the token that was used last is gone: was "
                   "it moved, or is this another token?",
                   folder);
}

bool guard_mend(const struct guard *g, bool *ret_mended, struct err *err)
{
    char copy[GUARDED_MAX], name[FILE_PATH];
    struct stat st;
    size_t len;

    *ret_mended = false;
    if (!*g->path)
        return true;
    if (stat(g->path, &st) != 0 && errno != ENOENT)
        return err_errno(err, ERR_STORAGE, errno, "cannot look at %s", g->path);
    file_in(g, "copy", name);
    TRY(read_file(name, copy, sizeof(copy), &len, err));
    bool there = access(g->path, F_OK) == 0;
    if (len == 0 || (there && (size_t)st.st_size >= len))
        return true;
    TRY(folder_there(g->path, err));
    TRY(replace_file(g->path, copy, len, err));
    *ret_mended = true;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd --restore: a backup of `keydctl backup` into a state directory that holds nothing. First the
 * whole backup is read and summed; then it is copied into <state_dir>/restoring and summed again;
 * then the token's folder and, last, the registry are moved to their places. While `restoring` is
 * there keyd does not start; the same command begins again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/custodian/custodian.h"
#include "keyd/token/softhsm.h"
#include "proto/base/buf.h"
#include "proto/base/mem.h"
#include "proto/manifest.h"

#define COPY_BUF  65536
#define RESTORING "restoring"

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static bool join(char out[PATH_MAX], const char *dir, const char *name, struct err *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);

    return (n > 0 && n < PATH_MAX) ||
           err_set(err, ERR_BAD_REQUEST, "the path %.100s/%.100s is too long", dir, name);
}

/* ---- reading the backup */

static bool open_backup(const char *dir, const char *name, int *ret, struct err *err)
{
    char path[PATH_MAX];

    TRY(join(path, dir, name, err));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        *ret = fd;
        return true;
    }
    int e = errno;
    if (e != ENOENT && e != ENOTDIR)
        return err_errno(err, ERR_STORAGE, e, "cannot open %s", path);
    err_set(err, ERR_STORAGE, "the backup has no %s: there is no %.200s", name, path);
    return err_hint(err, "name the folder that 'keydctl backup' has made, with all that is in it");
}

static bool read_manifest(const char *dir, struct buf *ret, struct manifest *m, struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    ssize_t n = 1;

    TRY(open_backup(dir, MANIFEST_NAME, &fd, err));
    while (n > 0) {
        uint8_t *room = buf_room(ret, COPY_BUF, MANIFEST_MAX);
        if (!room)
            return err_set(err, ERR_STORAGE, "%s/%s is too large", dir, MANIFEST_NAME);
        n = read(fd, room, COPY_BUF);
        buf_fill(ret, n > 0 ? (size_t)n : 0);
    }
    if (n < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s/%s", dir, MANIFEST_NAME);
    return manifest_read(buf_head(ret), ret->len, m, err) || err_prefix(err, "%s", dir);
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads a file of the backup to its end, into `to` unless that is -1, and compares size and sum. */
static bool read_file(const char *dir, const struct manifest_file *file, int to, struct err *err)
{
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(sum_free) struct sum sum = {.ctx = NULL};
    AUTO_FREE uint8_t *bytes = mem_new(COPY_BUF);
    uint8_t is[SUM_LEN];
    uint64_t size = 0;
    ssize_t n = 1;

    TRY(open_backup(dir, file->name, &fd, err));
    TRY(sum_begin(&sum, err));
    while (bytes && (n = read(fd, bytes, COPY_BUF)) > 0) {
        size += (uint64_t)n;
        if (!sum_add(&sum, bytes, (size_t)n))
            return err_set(err, ERR_INTERNAL, "libcrypto makes no SHA-256");
        if (to >= 0 && !write_all(to, bytes, (size_t)n))
            return err_errno(err, ERR_STORAGE, errno, "cannot write %s", file->name);
    }
    if (!bytes || n < 0)
        return err_errno(err, ERR_STORAGE, bytes ? errno : ENOMEM, "cannot read %s/%s", dir,
                         file->name);
    if (size == file->size && sum_end(&sum, is) && memcmp(is, file->sum, SUM_LEN) == 0)
        return true;
    err_set(err, ERR_STORAGE, "%.100s/%s is damaged: %llu bytes, and %s", dir, file->name,
            (unsigned long long)size,
            size == file->size ? "their SHA-256 is not the manifest's"
                               : "the manifest says more "
                                 "or fewer");
    return err_hint(err, "take another copy of this backup, or another backup");
}

static bool is_ours(const char *name)
{
    return strcmp(name, MANIFEST_REGISTRY) == 0 ||
           strncmp(name, MANIFEST_TOKENS, strlen(MANIFEST_TOKENS)) == 0;
}

static bool check_files(const char *dir, const struct manifest *m, struct err *err)
{
    struct rd lines = m->lines;
    struct manifest_file file;
    bool registry = false;

    while (manifest_next(&lines, &file)) {
        if (!is_ours(file.name))
            return err_set(err, ERR_STORAGE, "%s/%s: a backup of this format has no %s", dir,
                           MANIFEST_NAME, file.name);
        registry = registry || strcmp(file.name, MANIFEST_REGISTRY) == 0;
        TRY(read_file(dir, &file, -1, err));
    }
    return registry ||
           err_set(err, ERR_STORAGE, "%s/%s names no %s", dir, MANIFEST_NAME, MANIFEST_REGISTRY);
}

bool custodian_restore_check(const char *dir, struct custodian_backup *ret, struct err *err)
{
    CLEANUP(buf_free) struct buf bytes = {.bytes = NULL};
    struct manifest m;

    TRY(read_manifest(dir, &bytes, &m, err));
    TRY(check_files(dir, &m, err));
    *ret = (struct custodian_backup){.keys = m.keys,
                                     .private_keys = m.private_keys,
                                     .files = m.files,
                                     .token_files = m.token_files};
    snprintf(ret->time, sizeof(ret->time), "%s", m.time);
    snprintf(ret->token_label, sizeof(ret->token_label), "%s", m.token_label);
    snprintf(ret->token_serial, sizeof(ret->token_serial), "%s", m.token_serial);
    return true;
}

/* ---- the state directory */

/* What may be there: what a start has left that found no token, the PINs, and an unfinished one of
 * ours with the token's folder already in its place. */
static bool may_be_there(const char *name, bool unfinished)
{
    static const char *const harmless[] = {".",        "..",     "lock",       "run",
                                           "user.pin", "so.pin", "lost+found", RESTORING};

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strcmp(name, harmless[i]) == 0)
            return true;
    return unfinished && (strcmp(name, "tokens") == 0 || strcmp(name, "softhsm2.conf") == 0);
}

static bool check_empty(const char *state_dir, struct err *err)
{
    DIR *dir = opendir(state_dir);
    bool ok = true;

    if (!dir)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", state_dir);
    bool unfinished = faccessat(dirfd(dir), RESTORING, F_OK, 0) == 0;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (may_be_there(e->d_name, unfinished))
            continue;
        err_set(err, ERR_EXISTS, "the state directory %.150s is not empty: it holds %.100s",
                state_dir, e->d_name);
        ok = err_hint(err, "nothing is overwritten: move what is in it away, or name another "
                           "state-dir in keyd.conf");
    }
    closedir(dir);
    return ok;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* What an earlier restore has left, all of it copies. */
static bool begin_anew(const char *state_dir, const char *work, struct err *err)
{
    char tokens[PATH_MAX], back[PATH_MAX];

    TRY(join(tokens, state_dir, "tokens", err));
    TRY(join(back, work, "tokens", err));
    if (access(work, F_OK) == 0) {
        (void)rename(tokens, back); /* it was moved already, or is not there */
        if (nftw(work, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
            return err_errno(err, ERR_STORAGE, errno, "cannot remove %s", work);
    }
    return mkdir(work, 0700) == 0 || err_errno(err, ERR_STORAGE, errno, "cannot make %s", work);
}

static bool own(int fd, uid_t uid, gid_t gid)
{
    return uid == geteuid() || fchown(fd, uid, gid) == 0;
}

static bool make_folders(char *path, size_t from, uid_t uid, gid_t gid, struct err *err)
{
    for (char *at = path + from; (at = strchr(at, '/')); at++) {
        *at = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        if (made && uid != geteuid())
            made = chown(path, uid, gid) == 0;
        if (!made)
            return err_errno(err, ERR_STORAGE, errno, "cannot make %s", path);
        *at = '/';
    }
    return true;
}

static bool copy_file(const char *dir, const char *work, const struct manifest_file *file,
                      uid_t uid, gid_t gid, struct err *err)
{
    char path[PATH_MAX];

    TRY(join(path, work, file->name, err));
    TRY(make_folders(path, strlen(work) + 1, uid, gid, err));
    CLEANUP(close_fd)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s", path);
    TRY(read_file(dir, file, fd, err));
    if (!own(fd, uid, gid) || fsync(fd) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot write %s", path);
    return true;
}

static bool sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static int sync_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)where;
    return type == FTW_DP && !sync_path(path);
}

bool custodian_restore_copy(const char *dir, const char *state_dir, uid_t uid, gid_t gid,
                            struct err *err)
{
    CLEANUP(buf_free) struct buf bytes = {.bytes = NULL};
    char work[PATH_MAX];
    struct manifest_file file;
    struct manifest m;

    TRY(check_empty(state_dir, err));
    TRY(join(work, state_dir, RESTORING, err));
    TRY(read_manifest(dir, &bytes, &m, err));
    TRY(begin_anew(state_dir, work, err));
    if (uid != geteuid() && chown(work, uid, gid) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot give %s to its user", work);
    for (struct rd lines = m.lines; manifest_next(&lines, &file);)
        TRY(copy_file(dir, work, &file, uid, gid, err));
    return nftw(work, sync_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ||
           err_errno(err, ERR_STORAGE, errno, "cannot make %s durable", work);
}

static bool move(const char *work, const char *state_dir, const char *name, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];

    TRY(join(from, work, name, err));
    TRY(join(to, state_dir, name, err));
    return rename(from, to) == 0 || err_errno(err, ERR_STORAGE, errno, "cannot make %s", to);
}

bool custodian_restore_place(const char *state_dir, bool token_files, struct err *err)
{
    char work[PATH_MAX];

    TRY(join(work, state_dir, RESTORING, err));
    if (token_files) {
        TRY(move(work, state_dir, "tokens", err));
        TRY(softhsm_write_conf(state_dir, err));
    }
    TRY(move(work, state_dir, MANIFEST_REGISTRY, err));
    if (!sync_path(state_dir) || rmdir(work) != 0 || !sync_path(state_dir))
        return err_errno(err, ERR_STORAGE, errno, "cannot finish the restore in %s", state_dir);
    return true;
}

bool custodian_restore_pending(const char *state_dir, struct err *err)
{
    char work[PATH_MAX];

    TRY(join(work, state_dir, RESTORING, err));
    if (access(work, F_OK) != 0)
        return true;
    err_set(err, ERR_CONFLICT, "a restore into %.200s was cut short", state_dir);
    return err_hint(err, "run it again: keyd --restore DIR");
}

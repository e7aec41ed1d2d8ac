/* SPDX-License-Identifier: Apache-2.0
 *
 * SoftHSM2 keeps a token in <tokendir>/<uuid>/: token.object with the master keys, one file an
 * object. It neither fsyncs nor survives a kill while it rewrites token.object (facts: tokens.md);
 * what that asks of us stands here and nowhere else.
 */
#include "keyd/token/softhsm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/mem.h"

#define CONF "softhsm2.conf"

static void cleanup_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void cleanup_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}

static bool join(char *out, size_t size, const char *dir, const char *name, struct err *err)
{
    int n = snprintf(out, size, "%s/%s", dir, name);

    if (n < 0 || (size_t)n >= size)
        return err_set(err, ERR_STORAGE, "the path %s/%s is too long", dir, name);
    return true;
}

/* ---- its configuration */

/* SoftHSM's reader of this file ends a line at '#' and takes what stands between two '='; it knows
 * no quoting, and lines end at 1023 bytes. */
static bool check_path(const char *dir, struct err *err)
{
    if (dir[0] != '/' || strpbrk(dir, "#=\r\n") || strlen(dir) > 512) {
        err_set(err, ERR_STORAGE, "SoftHSM cannot keep tokens below %.80s", dir);
        return err_hint(err, "state-dir must be an absolute path without '#' and '='");
    }
    return true;
}

static bool make_dir(const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s", path);
    return true;
}

static bool sync_path(const char *path, int flags, struct err *err)
{
    CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags);

    if (fd < 0 && errno == ENOENT)
        return true; /* it was removed meanwhile */
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s durable", path);
    return true;
}

/* Writes beside and renames, so that the file is there whole or not at all. */
static bool write_new(const char *path, const char *text, struct err *err)
{
    char beside[PATH_MAX];

    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return err_set(err, ERR_STORAGE, "the path %s is too long", path);
    CLEANUP(cleanup_fd) int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || fsync(fd) != 0 || rename(beside, path) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot write %s", path);
    return true;
}

bool softhsm_write_conf(const char *state_dir, struct err *err)
{
    char conf[PATH_MAX], tokens[PATH_MAX], text[PATH_MAX + 512];

    TRY(check_path(state_dir, err));
    TRY(join(conf, sizeof(conf), state_dir, CONF, err));
    TRY(join(tokens, sizeof(tokens), state_dir, "tokens", err));
    TRY(make_dir(tokens, err));
    if (access(conf, F_OK) == 0)
        return true;
    snprintf(text, sizeof(text),
             "# Written by keyd for its token processes (SOFTHSM2_CONF).\n"
             "directories.tokendir = %s\n"
             "objectstore.backend = file\n"
             "log.level = ERROR\n"
             "slots.removable = false\n"
             "slots.mechanisms = ALL\n"
             "library.reset_on_fork = false\n",
             tokens);
    TRY(write_new(conf, text, err));
    return sync_path(state_dir, O_DIRECTORY, err);
}

bool softhsm_environment(const char *state_dir, struct err *err)
{
    char conf[PATH_MAX];

    if (!state_dir)
        return true;
    TRY(join(conf, sizeof(conf), state_dir, CONF, err));
    if (access(conf, F_OK) != 0)
        return true;
    if (setenv("SOFTHSM2_CONF", conf, 1) != 0)
        return err_set(err, ERR_INTERNAL, "no memory for SOFTHSM2_CONF");
    return true;
}

/* ---- its folder, and the file in it that a killed login destroys */

#define MASTER_KEYS "token.object"

/* SoftHSM takes a token's serial number from its UUID (8-4-4-4-12), which names its folder: the
 * fourth and the fifth group. */
static bool folder_has_serial(const char *name, const char *serial)
{
    return strlen(name) == 36 && strlen(serial) == 16 && name[23] == '-' &&
           strncmp(name + 19, serial, 4) == 0 && strcmp(name + 24, serial + 4) == 0;
}

/* "tokens/<uuid>" of the token with this serial number; an empty string if there is none. */
static bool folder_of(const char *state_dir, const char *serial, char *name, size_t size,
                      struct err *err)
{
    char tokens[PATH_MAX];

    name[0] = '\0';
    TRY(join(tokens, sizeof(tokens), state_dir, "tokens", err));
    CLEANUP(cleanup_dir) DIR *dir = opendir(tokens);
    if (!dir && errno != ENOENT)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", tokens);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (folder_has_serial(e->d_name, serial))
            return join(name, size, "tokens", e->d_name, err);
    return true;
}

bool softhsm_guarded_file(const char *state_dir, const char *serial, char *path, size_t size,
                          struct err *err)
{
    char name[NAME_MAX], folder[PATH_MAX];

    TRY(folder_of(state_dir, serial, name, sizeof(name), err));
    if (*name) {
        TRY(join(folder, sizeof(folder), state_dir, name, err));
        return join(path, size, folder, MASTER_KEYS, err);
    }
    if (size > 0)
        path[0] = 0;
    return true;
}

/* ---- what a kill leaves of an object */

#define SETTLED_S 60
#define HEAD_LEN  8 /* of an object's file: a counter; the attributes follow */

static bool is_empty_object(int dir, const char *name)
{
    size_t n = strlen(name);
    struct stat st;

    return n > 7 && n <= SOFTHSM_NAME_MAX && strcmp(name + n - 7, ".object") == 0 &&
           strcmp(name, "token.object") != 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && (st.st_size == 0 || st.st_size == HEAD_LEN) && st.st_nlink == 1 &&
           st.st_mtim.tv_sec + SETTLED_S < time(NULL);
}

/* The token's folder; *ret NULL: it has none. */
static bool open_folder(const char *state_dir, const char *serial, DIR **ret, struct err *err)
{
    char path[PATH_MAX];

    TRY(softhsm_guarded_file(state_dir, serial, path, sizeof(path), err));
    if (!*path)
        return true;
    *strrchr(path, '/') = '\0';
    DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", path);
    *ret = dir;
    return true;
}

bool softhsm_empty_files(const char *state_dir, const char *serial,
                         char (**ret)[SOFTHSM_NAME_MAX + 1], size_t *ret_count, struct err *err)
{
    CLEANUP(cleanup_dir) DIR *dir = NULL;
    AUTO_FREE char(*list)[SOFTHSM_NAME_MAX + 1] = NULL;
    size_t count = 0;

    TRY(open_folder(state_dir, serial, &dir, err));
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!is_empty_object(dirfd(dir), e->d_name))
            continue;
        char(*grown)[SOFTHSM_NAME_MAX + 1] = mem_resize(list, count + 1, sizeof(*list));
        if (!grown)
            return err_set(err, ERR_INTERNAL, "no memory for a list of files");
        list = grown;
        snprintf(list[count++], sizeof(*list), "%s", e->d_name);
    }
    *ret = TAKE(list);
    *ret_count = count;
    return true;
}

bool softhsm_remove_empty(const char *state_dir, const char *serial, const char *name,
                          bool *ret_gone, struct err *err)
{
    CLEANUP(cleanup_dir) DIR *dir = NULL;
    char lock[SOFTHSM_NAME_MAX + 1];

    *ret_gone = false;
    TRY(open_folder(state_dir, serial, &dir, err));
    if (!dir || strchr(name, '/') || !is_empty_object(dirfd(dir), name))
        return true;
    if (unlinkat(dirfd(dir), name, 0) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot remove %s of the token", name);
    snprintf(lock, sizeof(lock), "%.*s.lock", (int)(strlen(name) - 7), name);
    (void)unlinkat(dirfd(dir), lock, 0); /* SoftHSM's, beside each object */
    *ret_gone = true;
    return true;
}

/* ---- durability */

/* File times advance in ticks of some milliseconds, so what changed shortly before the last look
 * may have changed again after it: looked at twice rather than never. */
#define OVERLAP_S 2

/* Of the one state directory that a process has; realtime; zero: never. */
static struct timespec last_sync;

static bool changed_since(const struct stat *st, time_t since)
{
    return st->st_ctim.tv_sec >= since;
}

static bool sync_folder(const char *folder, time_t since, struct err *err)
{
    CLEANUP(cleanup_dir) DIR *dir = opendir(folder);
    struct stat st;

    if (!dir && errno == ENOENT)
        return true;
    if (!dir || fstat(dirfd(dir), &st) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", folder);
    bool any = changed_since(&st, since);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[PATH_MAX];

        if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        TRY(join(path, sizeof(path), folder, e->d_name, err));
        if (S_ISDIR(st.st_mode))
            TRY(sync_folder(path, since, err));
        else if (S_ISREG(st.st_mode) && changed_since(&st, since))
            TRY(sync_path(path, 0, err));
    }
    return any ? sync_path(folder, O_DIRECTORY, err) : true;
}

bool softhsm_sync(const char *state_dir, struct err *err)
{
    char tokens[PATH_MAX];
    struct timespec now;

    if (!state_dir)
        return true;
    TRY(join(tokens, sizeof(tokens), state_dir, "tokens", err));
    clock_gettime(CLOCK_REALTIME, &now);
    /* A clock that was set back makes everything look new: that costs time, not safety. */
    time_t since = last_sync.tv_sec > OVERLAP_S ? last_sync.tv_sec - OVERLAP_S : 0;
    if (now.tv_sec < last_sync.tv_sec)
        since = 0;
    TRY(sync_folder(tokens, since, err));
    last_sync = now;
    return true;
}

/* ---- what stands in its way */

static bool cannot_use(const char *path, struct err *err)
{
    struct stat st;

    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 || errno == ENOENT ||
        errno == ENOTDIR)
        return false; /* what is no folder is no token */
    if (errno == EROFS) {
        err_hint(err, "%s is on a file system that is read-only", path);
        return true;
    }
    if (stat(path, &st) != 0)
        st = (struct stat){.st_mode = 0};
    err_hint(err, "uid %u may not read and write %s (it has mode %04o, uid %u): mend that",
             (unsigned)geteuid(), path, (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
    return true;
}

static bool is_full(const char *path, struct err *err)
{
    struct statvfs fs;

    /* some keep no count of files */
    if (statvfs(path, &fs) != 0 || (fs.f_bavail > 0 && (fs.f_favail > 0 || fs.f_files == 0)))
        return false;
    err_hint(err, "the file system of %s is full: make room", path);
    return true;
}

static bool explain_folder(const char *folder, struct err *err)
{
    char file[PATH_MAX];
    struct err ignored;

    return cannot_use(folder, err) ||
           (join(file, sizeof(file), folder, MASTER_KEYS, &ignored) && cannot_use(file, err));
}

bool softhsm_explain(const char *state_dir, struct err *err)
{
    char tokens[PATH_MAX], folder[PATH_MAX];
    struct err ignored;

    if (!join(tokens, sizeof(tokens), state_dir, "tokens", &ignored))
        return false;
    if (cannot_use(tokens, err) || is_full(tokens, err))
        return true;
    CLEANUP(cleanup_dir) DIR *dir = opendir(tokens);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.' && join(folder, sizeof(folder), tokens, e->d_name, &ignored) &&
            explain_folder(folder, err))
            return true;
    return false;
}

/* ---- its files, for a backup */

#define FILE_MAX_ (1u << 20) /* an object has some 2 KiB */
#define TRIES     200
#define TRY_EVERY (10 * 1000000L) /* ns */

struct content {
    uint8_t *bytes;
    size_t len;
    struct stat st;
};

static void content_free(struct content *c)
{
    mem_free(c->bytes);
}

static bool read_whole(int fd, struct content *c)
{
    size_t room = (size_t)c->st.st_size + 1; /* one more: growth shows */
    ssize_t n = 1;

    c->bytes = room <= FILE_MAX_ ? mem_new(room) : NULL;
    if (!c->bytes)
        return false;
    while (n > 0 && c->len < room) {
        n = read(fd, c->bytes + c->len, room - c->len);
        c->len += n > 0 ? (size_t)n : 0;
    }
    return n == 0;
}

static bool same_state(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* One reading. *ret_calm: the file did not change meanwhile. */
static bool read_file(const char *path, struct content *ret, bool *ret_calm, struct err *err)
{
    CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat after;

    if (fd < 0 || fstat(fd, &ret->st) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", path);
    *ret_calm = read_whole(fd, ret) && fstat(fd, &after) == 0 && same_state(&ret->st, &after) &&
                ret->len == (size_t)after.st_size;
    return true;
}

/* File times advance in ticks, so a login that rewrites the file between two looks may leave no
 * trace in them. It is long over between two readings that agree; and an empty file is one that a
 * login has truncated, now or when it was killed. */
static bool read_master_keys(const char *path, struct content *ret, struct err *err)
{
    static const struct timespec pause = {.tv_nsec = TRY_EVERY};

    for (int i = 0; i < TRIES; i++) {
        CLEANUP(content_free) struct content a = {.bytes = NULL}, b = {.bytes = NULL};
        bool calm_a, calm_b;

        TRY(read_file(path, &a, &calm_a, err));
        nanosleep(&pause, NULL);
        TRY(read_file(path, &b, &calm_b, err));
        if (!calm_a || !calm_b || a.len == 0 || a.len != b.len || !same_state(&a.st, &b.st) ||
            memcmp(a.bytes, b.bytes, a.len) != 0)
            continue;
        *ret = a;
        a.bytes = NULL;
        return true;
    }
    err_set(err, ERR_BUSY, "%s is empty or being rewritten", path);
    return err_hint(err, "a login rewrites it: try again; keydctl status shows what starts");
}

static bool read_object(const char *path, struct content *ret, struct err *err)
{
    bool calm;

    TRY(read_file(path, ret, &calm, err));
    return calm || err_set(err, ERR_STORAGE, "%s changed while it was read, or is too large", path);
}

static bool show_file(const char *state_dir, const char *folder, const char *file,
                      softhsm_take *take, void *user, struct err *err)
{
    CLEANUP(content_free) struct content content = {.bytes = NULL};
    char name[PATH_MAX], path[PATH_MAX];

    TRY(join(name, sizeof(name), folder, file, err));
    TRY(join(path, sizeof(path), state_dir, name, err));
    TRY(strcmp(file, MASTER_KEYS) == 0 ? read_master_keys(path, &content, err)
                                       : read_object(path, &content, err));
    return take(user, name, content.bytes, content.len, err);
}

bool softhsm_files(const char *state_dir, const char *serial, softhsm_take *take, void *user,
                   bool *ret_any, struct err *err)
{
    char folder[NAME_MAX], path[PATH_MAX];
    struct stat st;

    TRY(folder_of(state_dir, serial, folder, sizeof(folder), err));
    *ret_any = *folder != '\0';
    if (!*ret_any)
        return true;
    TRY(join(path, sizeof(path), state_dir, folder, err));
    CLEANUP(cleanup_dir) DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", path);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return err_errno(err, ERR_STORAGE, errno, "cannot read %s/%s", path, e->d_name);
        if (S_ISREG(st.st_mode))
            TRY(show_file(state_dir, folder, e->d_name, take, user, err));
    }
    return true;
}

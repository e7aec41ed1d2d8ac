/* SPDX-License-Identifier: Apache-2.0
 *
 * backup: what keyd hands over is written into a folder beside the one that was asked for, fsynced,
 * and renamed only when all of it is there and every checksum was right: a backup that was cut
 * short never has the name of a whole one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

#define TRIES 3 /* keyd's custodian is replaced after an import, and the snapshot with it */

struct folder {
    char dir[PATH_MAX - 64]; /* as asked for, no '/' at its end */
    char beside[PATH_MAX];   /* while it is being written */
    char file[PATH_MAX + 256];
    int fd; /* of the file; -1: none is open */
    struct err err;
};

static bool cannot(struct folder *f, const char *what)
{
    err_errno(&f->err, ERR_STORAGE, errno, "cannot %s %s", what, f->file);
    return errno == ENOSPC ? err_hint(&f->err, "the disk is full: make room") : false;
}

/* ---- the sink: one file after another, below f->beside */

static bool make_folders(struct folder *f)
{
    for (char *at = f->file + strlen(f->beside) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        bool ok = mkdir(f->file, 0700) == 0 || errno == EEXIST || cannot(f, "make");
        *at = '/';
        if (!ok)
            return false;
    }
    return true;
}

static bool begin_file(void *context, const char *name, uint64_t size)
{
    struct folder *f = context;

    (void)size;
    int n = snprintf(f->file, sizeof(f->file), "%s/%s", f->beside, name);
    if (n < 0 || (size_t)n >= sizeof(f->file))
        return err_set(&f->err, ERR_STORAGE, "the path of %s is too long", name);
    if (!make_folders(f))
        return false;
    f->fd = open(f->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return f->fd >= 0 || cannot(f, "make");
}

static bool write_file(void *context, const void *bytes, size_t len)
{
    struct folder *f = context;

    for (const char *at = bytes; len > 0;) {
        ssize_t n = write(f->fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot(f, "write");
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool end_file(void *context)
{
    struct folder *f = context;
    int fd = f->fd;

    f->fd = -1;
    bool ok = fsync(fd) == 0;
    return (close(fd) == 0 && ok) || cannot(f, "write");
}

/* ---- the folder */

static bool sync_folder(const char *path)
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
    return type == FTW_DP && !sync_folder(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

/* Only what we have made; it has a name that nobody else's folder has. */
static void remove_beside(struct folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    (void)nftw(f->beside, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool sync_parent(const struct folder *f)
{
    char parent[sizeof(f->dir) + 4];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", f->dir);
    slash = strrchr(parent, '/');
    if (!slash)
        return sync_folder(".");
    slash[slash == parent] = '\0';
    return sync_folder(parent);
}

/* rename(2) takes the place of a folder only if that is empty. */
static bool put_in_place(struct folder *f)
{
    snprintf(f->file, sizeof(f->file), "%s", f->dir);
    if (nftw(f->beside, sync_one, 16, FTW_DEPTH | FTW_PHYS) != 0 ||
        rename(f->beside, f->dir) != 0 || !sync_parent(f))
        return cannot(f, "finish the backup in");
    return true;
}

static bool make_beside(struct folder *f)
{
    snprintf(f->beside, sizeof(f->beside), "%s.unfinished.XXXXXX", f->dir);
    snprintf(f->file, sizeof(f->file), "%s", f->beside);
    if (mkdtemp(f->beside)) /* 0700 */
        return true;
    cannot(f, "make");
    return err_hint(&f->err, "the folder in which it is to stand must be there and yours to write");
}

static bool is_empty(DIR *dir)
{
    int names = 0;

    while (names <= 2 && readdir(dir))
        names++;
    return names <= 2; /* "." and ".." */
}

/* DIR must be new, or empty. */
static bool check_dir(struct folder *f, const char *dir)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n == 0 || n >= sizeof(f->dir))
        return err_set(&f->err, ERR_BAD_REQUEST, "\"%.100s\" is no folder's name", dir);
    snprintf(f->dir, sizeof(f->dir), "%.*s", (int)n, dir);
    snprintf(f->file, sizeof(f->file), "%s", f->dir);
    DIR *there = opendir(f->dir);
    if (!there && errno != ENOTDIR)
        return errno == ENOENT || cannot(f, "use");
    bool empty = there && is_empty(there);
    if (there)
        closedir(there);
    if (empty)
        return true;
    err_set(&f->err, ERR_EXISTS, "%.200s is there already, and %s", f->dir,
            there ? "not empty" : "no folder");
    return err_hint(&f->err, "name a folder that is new: one backup, one folder");
}

/* ---- the command */

static json_t *backup_json(const struct folder *f, const struct keyd_backup *b)
{
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:I, s:b, s:o}", "folder",
                     out_string(f->dir), "time", out_string(b->time), "keyd", out_string(b->keyd),
                     "keys", (json_int_t)b->keys, "files", (json_int_t)b->files, "bytes",
                     (json_int_t)b->bytes, "token_label", out_string(b->token_label),
                     "token_serial", out_string(b->token_serial), "token_private_keys",
                     (json_int_t)b->token_private_keys, "token_files", b->token_files, "pin_source",
                     out_string(b->pin_source));
}

static const struct column fields[] = {
    {.title = "backup", .member = "folder"},
    {.title = "made", .member = "time"},
    {.title = "keys", .member = "keys"},
    {.title = "token", .member = "token_label"},
    {.title = "serial", .member = "token_serial"},
    {.title = "private keys", .member = "token_private_keys"},
    {.title = "files", .member = "files"},
    {.title = "bytes", .member = "bytes"},
    {0},
};

static void show_token(const json_t *value)
{
    if (json_is_true(json_object_get(value, "token_files"))) {
        printf("\nIt holds the registry and the token, whose keys are encrypted under its PIN.\n");
        return;
    }
    printf(
        "\nIt holds the registry alone. The token's keys are in no file of keyd's: the backup of\n"
        "the HSM itself must cover all %lld private keys of the token \"",
        (long long)json_integer_value(json_object_get(value, "token_private_keys")));
    out_text(stdout, json_string_value(json_object_get(value, "token_label")));
    printf("\", serial ");
    out_text(stdout, json_string_value(json_object_get(value, "token_serial")));
    printf(",\nwith their CKA_ID: by that keyd finds them again.\n");
}

static bool show_backup(const json_t *value)
{
    out_fields(stdout, fields, value, 0);
    show_token(value);
    printf("\nNot in it; keep these apart from it, for without the PIN no key can be used:\n"
           "  the token's PIN    ");
    out_text(stdout, json_string_value(json_object_get(value, "pin_source")));
    printf("\n  the SO PIN         so.pin, if keyd --init-token made the token\n"
           "  the settings       keyd.conf\n"
           "To restore it on an empty machine: keyd --restore ");
    out_text(stdout, json_string_value(json_object_get(value, "folder")));
    return putchar('\n') != EOF;
}

static int write_backup(struct ctx *ctx, struct folder *f, struct keyd_backup *ret)
{
    const struct keyd_backup_sink sink = {f, begin_file, write_file, end_file};
    struct keyd_error error;

    if (!make_beside(f))
        return complain_err(&f->err);
    int code = keyd_backup(ctx->client, &sink, ret, &error);
    if (code == KEYD_OK && put_in_place(f))
        return STATUS_DONE;
    remove_beside(f);
    if (code == KEYD_NOT_FOUND)
        return -1;
    return f->err.code != ERR_NONE ? complain_err(&f->err) : complain(ctx, &error);
}

static int backup(struct ctx *ctx)
{
    struct folder f = {.fd = -1};
    struct keyd_backup info;
    struct err err;
    int status = -1;

    if (!check_dir(&f, args_get(&ctx->args, "dir")))
        return complain_err(&f.err);
    for (int i = 0; i < TRIES && status == -1; i++)
        status = write_backup(ctx, &f, &info);
    if (status == -1) {
        err_set(&err, ERR_BUSY, "keyd's custodian was replaced %d times meanwhile", TRIES);
        err_hint(&err, "it is after imports: try again when they are done");
        return complain_err(&err);
    }
    return status == STATUS_DONE ? present(ctx, backup_json(&f, &info), show_backup) : status;
}

static const struct option_row options[] = {
    {"dir", "DIR", "folder to make, on this machine; it must be new or empty",
     OPTION_REQUIRED | OPTION_OPERAND},
    {0},
};

const struct command backup_commands[] = {
    {.name = "backup",
     .run = backup,
     .line = "back up keyd's registry and token",
     .about = "Writes a backup of the registry and, if the token keeps its files with keyd\n"
              "(SoftHSM), of the token into a new folder, while keyd serves: both as they are\n"
              "between two changes. Every file is checked against the MANIFEST as it is written.\n"
              "A folder DIR.unfinished.* is what a backup that was killed has left: remove it.\n"
              "No PIN is in a backup. 'keyd --restore DIR' brings it to an empty machine.",
     .example = "keydctl backup /root/keyd-$(date +%F)",
     .options = options,
     .timeout = 60},
    {0},
};

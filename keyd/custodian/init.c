/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a token. The PINs are on the disk before the token has them: cut short anywhere, the same
 * command goes on with the same PINs, and no token is left whose PIN nobody knows. A token that is
 * there is found before anything is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/custodian/custodian.h"
#include "keyd/token/softhsm.h"
#include "keyd/token/token.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"

#define PATH_SIZE  1024
#define PIN_DIGITS 32 /* 128 bits */
#define PIN_MAX    255

static bool make_state_dir(const char *dir, struct err *err)
{
    struct stat st;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, ERR_STORAGE, errno, "cannot make the state directory %s", dir);
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_STORAGE, "%s is no directory", dir);
    if (st.st_mode & 077 || st.st_uid != geteuid()) {
        err_set(err, ERR_DENIED, "the state directory %s is not yours alone (mode %04o, uid %u)",
                dir, st.st_mode & 07777u, (unsigned)st.st_uid);
        return err_hint(err, "chown it to the user that keyd runs as, and chmod 0700");
    }
    return true;
}

static bool there_already(const char *uri, const char *state_dir, struct err *err)
{
    struct token *token = NULL;
    struct err why = {.code = ERR_NONE};

    if (!token_open(&token, uri, state_dir, false, &why) && why.code == ERR_UNAVAILABLE) {
        if (!softhsm_explain(state_dir, &why))
            return true; /* nothing fits the URI: go on */
        err_set(err, ERR_STORAGE, "a token may be there that cannot be seen");
        return err_hint(err, "%s", why.hint);
    }
    if (token && !token_has_user_pin(token)) {
        token_close(token);
        return true; /* cut short between its two steps: go on */
    }
    if (token) {
        err_set(err, ERR_EXISTS, "the token \"%s\" is there already (serial %s)",
                token_info(token)->label, token_info(token)->serial);
        err_hint(err, "start keyd; or name another one by token= in the URI");
    } else {
        *err = why;
    }
    token_close(token);
    return false;
}

/* ---- PIN files */

static bool sync_parent(const char *path, struct err *err)
{
    char dir[PATH_SIZE];
    const char *slash = strrchr(path, '/');

    snprintf(dir, sizeof(dir), "%.*s", slash > path ? (int)(slash - path) : 1, path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return ok || err_errno(err, ERR_STORAGE, e, "cannot make %s durable", dir);
}

static bool write_all(int fd, const struct secret *pin)
{
    return write(fd, pin->bytes, pin->len) == (ssize_t)pin->len && write(fd, "\n", 1) == 1 &&
           fsync(fd) == 0;
}

/* Written beside and linked to its name, which fails where a file is: never overwritten, never half
 * there. */
static bool write_pin(const char *path, const struct secret *pin, struct err *err)
{
    char beside[PATH_SIZE + 8];

    snprintf(beside, sizeof(beside), "%s.new", path);
    unlink(beside); /* of a run that was cut short */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s", beside);
    bool ok = write_all(fd, pin) && link(beside, path) == 0;
    int e = errno;
    close(fd);
    unlink(beside);
    if (!ok)
        return err_errno(err, ERR_STORAGE, e, "cannot write %s", path);
    return sync_parent(path, err);
}

/* The PIN in the file, or a new one that is in the file now. */
static bool have_pin(const char *path, struct secret *ret, bool *ret_new, struct err *err)
{
    *ret_new = access(path, F_OK) != 0;
    if (*ret_new) {
        TRY(secret_random_hex(ret, PIN_DIGITS, err));
        return write_pin(path, ret, err);
    }
    TRY(secret_read_file(ret, path, PIN_MAX, err));
    return ret->len > 0 || err_set(err, ERR_BAD_REQUEST, "the PIN file %s is empty", path);
}

struct pins {
    char so_path[PATH_SIZE], user_path[PATH_SIZE];
    struct secret so, user;
    bool so_new, user_new;
};

static void pins_free(struct pins *p)
{
    secret_free(&p->so);
    secret_free(&p->user);
}

static bool pins_make(struct pins *p, const char *uri, const char *state_dir, struct err *err)
{
    int n = snprintf(p->so_path, sizeof(p->so_path), "%s/so.pin", state_dir);

    if (n < 0 || (size_t)n >= sizeof(p->so_path))
        return err_set(err, ERR_BAD_REQUEST, "the path of the state directory is too long");
    TRY(token_uri_pin_source(uri, p->user_path, sizeof(p->user_path), err));
    TRY(have_pin(p->so_path, &p->so, &p->so_new, err));
    return have_pin(p->user_path, &p->user, &p->user_new, err);
}

/* A token was there after all, of the same label: the PINs that we made are not its PINs. */
static void pins_take_back(const struct pins *p)
{
    if (p->so_new)
        unlink(p->so_path);
    if (p->user_new)
        unlink(p->user_path);
}

bool custodian_init_token(const char *uri, const char *state_dir, struct err *err)
{
    CLEANUP(pins_free) struct pins pins = {.so_new = false};

    TRY(token_uri_check(uri, err));
    TRY(make_state_dir(state_dir, err));
    TRY(softhsm_write_conf(state_dir, err));
    TRY(there_already(uri, state_dir, err));
    TRY(pins_make(&pins, uri, state_dir, err));
    if (token_init(uri, state_dir, &pins.so, &pins.user, err))
        return true;
    if (err->code == ERR_EXISTS)
        pins_take_back(&pins);
    return false;
}

bool custodian_guarded_file(const char *uri, const char *state_dir, char *path, size_t size,
                            struct err *err)
{
    struct token *token;

    TRY(token_open(&token, uri, state_dir, false, err));
    bool ok = softhsm_guarded_file(state_dir, token_info(token)->serial, path, size, err);
    token_close(token);
    return ok;
}

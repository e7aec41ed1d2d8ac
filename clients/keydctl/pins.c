/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/buf.h"

#define NAME     "import-keys"
#define BESIDE   NAME ".new"
#define FILE_MAX (256u << 10) /* bytes */
#define HEAD     "# import keys of keyd that are trusted: fingerprint, socket (keydctl import-key)\n"

/* ---- fingerprints */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse(const char *hex, size_t n, uint8_t ret[PIN_LEN])
{
    uint8_t pin[PIN_LEN];

    if (n != 2 * (size_t)PIN_LEN)
        return false;
    for (size_t i = 0; i < PIN_LEN; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        pin[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret, pin, PIN_LEN);
    return true;
}

bool pin_parse(const char *hex, const char *what, uint8_t ret[PIN_LEN], struct err *err)
{
    if (parse(hex, strlen(hex), ret))
        return true;
    err_set(err, ERR_BAD_REQUEST, "%s is '%.80s', which is no fingerprint", what, hex);
    return err_hint(err, "it has 64 hex digits; the operator sees it by 'keydctl import-key'");
}

const char *pin_text(const uint8_t pin[PIN_LEN], char buf[PIN_HEX_SIZE])
{
    for (size_t i = 0; i < PIN_LEN; i++)
        snprintf(buf + 2 * i, 3, "%02x", pin[i]);
    return buf;
}

/* ---- the file */

struct store {
    char dir[PATH_MAX];
    char socket[PATH_MAX]; /* without symbolic links, if it is there */
    int dir_fd;            /* -1: there is no directory */
    struct buf text;       /* of the file, and a zero byte */
};

static void close_store(struct store *s)
{
    buf_free(&s->text);
    if (s->dir_fd >= 0)
        close(s->dir_fd);
}

static bool find_dir(struct store *s, struct err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n;

    if (config && config[0] == '/') /* relative ones are to be ignored */
        n = snprintf(s->dir, sizeof(s->dir), "%s/keydctl", config);
    else if (home && home[0] == '/')
        n = snprintf(s->dir, sizeof(s->dir), "%s/.config/keydctl", home);
    else
        n = sizeof(s->dir);
    if (n >= 0 && (size_t)n < sizeof(s->dir))
        return true;
    err_set(err, ERR_STORAGE, "there is no place to keep the pins of import keys: HOME is not set");
    return err_hint(err, "set HOME or XDG_CONFIG_HOME, or say --fingerprint HEX");
}

static bool storage(const struct store *s, const char *what, struct err *err)
{
    err_errno(err, ERR_STORAGE, errno, "cannot %s %s/" NAME, what, s->dir);
    return err_hint(err, "it keeps the pins of import keys; without it say --fingerprint HEX");
}

static bool read_text(struct store *s, int fd, struct err *err)
{
    struct stat st;
    ssize_t n = 1;

    if (fstat(fd, &st) != 0)
        return storage(s, "look at", err);
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        err_set(err, ERR_DENIED, "%s/" NAME " has mode %04o: others can change it", s->dir,
                (unsigned)st.st_mode & 07777);
        return err_hint(err, "look at it, then chmod 0600");
    }
    while (n > 0) {
        uint8_t *room = buf_room(&s->text, 4096, FILE_MAX);

        if (!room)
            return err_set(err, ERR_TOO_LARGE, "%s/" NAME " has more than %u bytes", s->dir,
                           FILE_MAX);
        n = read(fd, room, 4095);
        if (n < 0 && errno != EINTR)
            return storage(s, "read", err);
        buf_fill(&s->text, n > 0 ? (size_t)n : 0);
        n = n < 0 ? 1 : n;
    }
    buf_head(&s->text)[s->text.len] = 0;
    return true;
}

/* Opens what is there; nothing is fine. */
static bool open_store(struct store *s, const char *socket, struct err *err)
{
    *s = (struct store){.dir_fd = -1};
    if (!realpath(socket, s->socket))
        snprintf(s->socket, sizeof(s->socket), "%s", socket);
    if (strchr(s->socket, '\n'))
        return err_set(err, ERR_BAD_REQUEST, "the socket's path holds a line break");
    TRY(find_dir(s, err));
    s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return errno == ENOENT || storage(s, "open the directory of", err);
    int fd = openat(s->dir_fd, NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || storage(s, "open", err);
    bool ok = read_text(s, fd, err);
    close(fd);
    return ok;
}

struct line {
    const char *text;
    size_t len;
    bool ours; /* of this socket */
    uint8_t pin[PIN_LEN];
};

/* Reads the line at *at and moves behind it. */
static bool next_line(const struct store *s, const char **at, struct line *ret, struct err *err)
{
    struct line l = {.text = *at, .len = strcspn(*at, "\n")};
    size_t digits = strcspn(l.text, " \n");

    *at += l.len + ((*at)[l.len] == '\n');
    if (l.len > 0 && l.text[0] != '#') {
        if (!parse(l.text, digits, l.pin) || digits + 2 > l.len || l.text[digits + 1] != '/') {
            err_set(err, ERR_BAD_REQUEST, "a line of %s/" NAME " is damaged: \"%.*s\"", s->dir,
                    (int)(l.len < 60 ? l.len : 60), l.text);
            return err_hint(err,
                            "remove it; it should be: 64 hex digits, a blank, a socket's path");
        }
        l.ours = l.len - digits - 1 == strlen(s->socket) &&
                 memcmp(l.text + digits + 1, s->socket, l.len - digits - 1) == 0;
    }
    *ret = l;
    return true;
}

static const char *text_of(const struct store *s)
{
    return s->text.len ? (const char *)buf_head(&s->text) : "";
}

static bool look_up(const struct store *s, uint8_t ret[PIN_LEN], bool *ret_found, struct err *err)
{
    const char *at = text_of(s);
    bool found = false;
    struct line l;

    while (*at) {
        TRY(next_line(s, &at, &l, err));
        if (l.ours) {
            memcpy(ret, l.pin, PIN_LEN);
            found = true;
        }
    }
    *ret_found = found;
    return true;
}

bool pins_get(const char *socket, uint8_t ret[PIN_LEN], bool *ret_found, struct err *err)
{
    struct store s;
    bool ok = open_store(&s, socket, err) && look_up(&s, ret, ret_found, err);

    close_store(&s);
    return ok;
}

/* ---- changing */

/* The directory and the one above it, for their owner alone. */
static bool make_dir(struct store *s, struct err *err)
{
    char *slash = strrchr(s->dir, '/');

    *slash = 0;
    mkdir(s->dir, 0700); /* whether that was needed, the next one tells */
    *slash = '/';
    if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
        return storage(s, "make the directory of", err);
    return true;
}

/* All lines but those of the socket, then the new one. */
static bool write_lines(const struct store *s, FILE *f, const uint8_t *pin, struct err *err)
{
    const char *at = text_of(s);
    char hex[PIN_HEX_SIZE];
    struct line l;

    if (!*at)
        fputs(HEAD, f);
    while (*at) {
        TRY(next_line(s, &at, &l, err));
        if (!l.ours)
            fprintf(f, "%.*s\n", (int)l.len, l.text);
    }
    if (pin)
        fprintf(f, "%s %s\n", pin_text(pin, hex), s->socket);
    if (fflush(f) != 0 || fsync(fileno(f)) != 0)
        return storage(s, "write", err);
    return true;
}

/* Beside it, then renamed: at every moment the old or the new one is there, whole. */
static bool replace(const struct store *s, const uint8_t *pin, struct err *err)
{
    unlinkat(s->dir_fd, BESIDE, 0); /* of one that was cut short: we hold the lock */
    int fd = openat(s->dir_fd, BESIDE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!f) {
        storage(s, "write", err);
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = write_lines(s, f, pin, err);
    fclose(f);
    if (ok && renameat(s->dir_fd, BESIDE, s->dir_fd, NAME) != 0)
        ok = storage(s, "replace", err);
    if (!ok)
        unlinkat(s->dir_fd, BESIDE, 0);
    return ok;
}

/* Two that write at once do it one after another. */
static bool lock(const struct store *s, int *ret, struct err *err)
{
    int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        storage(s, "lock the directory of", err);
        if (fd >= 0)
            close(fd);
        return false;
    }
    *ret = fd;
    return true;
}

bool pins_set(const char *socket, const uint8_t *pin, struct err *err)
{
    struct store s = {.dir_fd = -1};
    int locked;

    TRY(find_dir(&s, err));
    if (pin)
        TRY(make_dir(&s, err));
    else if (access(s.dir, F_OK) != 0)
        return true; /* there is no pin to remove */
    TRY(lock(&s, &locked, err));
    bool ok = open_store(&s, socket, err) && replace(&s, pin, err);
    close_store(&s);
    close(locked);
    return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

bool secret_new(struct secret *ret, size_t cap, struct err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (cap + page) / page * page;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return err_errno(err, ERR_INTERNAL, errno, "no memory for a secret of %zu bytes", cap);
    if (mlock(p, size) != 0) {
        int e = errno;

        munmap(p, size);
        err_errno(err, ERR_INTERNAL, e, "cannot lock a secret of %zu bytes in memory", cap);
        return err_hint(err, "raise RLIMIT_MEMLOCK (ulimit -l) to at least 64 kB");
    }
    if (madvise(p, size, MADV_DONTDUMP) != 0 || madvise(p, size, MADV_WIPEONFORK) != 0) {
        int e = errno;

        munmap(p, size);
        return err_errno(err, ERR_INTERNAL, e, "cannot keep a secret out of core files and forks");
    }
    *ret = (struct secret){.bytes = p, .mapped = size};
    return true;
}

static bool read_all(struct secret *s, int fd, size_t cap, const char *what, struct err *err)
{
    while (s->len <= cap) {
        ssize_t n = read(fd, s->bytes + s->len, cap + 1 - s->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, ERR_STORAGE, errno, "cannot read %s", what);
        if (n == 0)
            break;
        s->len += (size_t)n;
    }
    if (s->len > cap)
        return err_set(err, ERR_TOO_LARGE, "%s holds more than %zu bytes", what, cap);
    if (s->len > 0 && s->bytes[s->len - 1] == '\n')
        s->bytes[--s->len] = 0;
    return true;
}

bool secret_read_fd(struct secret *ret, int fd, size_t cap, const char *what, struct err *err)
{
    struct secret s;

    TRY(secret_new(&s, cap + 1, err));
    if (!read_all(&s, fd, cap, what, err)) {
        secret_free(&s);
        return false;
    }
    *ret = s;
    return true;
}

bool secret_read_file(struct secret *ret, const char *path, size_t cap, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool ok = false;

    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
    if (fstat(fd, &st) != 0) {
        err_errno(err, ERR_STORAGE, errno, "cannot look at %s", path);
    } else if (S_ISREG(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH | S_IROTH))) {
        err_set(err, ERR_DENIED, "%s has mode %04o: others can read or change it", path,
                (unsigned)st.st_mode & 07777);
        err_hint(err, "chmod 0600 %s", path);
    } else {
        ok = secret_read_fd(ret, fd, cap, path, err);
    }
    close(fd);
    return ok;
}

bool secret_random_hex(struct secret *ret, size_t n, struct err *err)
{
    struct secret s;
    uint8_t b;

    TRY(secret_new(&s, n + 1, err));
    for (; s.len < n; s.len++) {
        if (getrandom(&b, 1, 0) != 1) {
            secret_free(&s);
            return err_errno(err, ERR_INTERNAL, errno, "no random bytes");
        }
        s.bytes[s.len] = (uint8_t) "0123456789abcdef"[b & 15];
    }
    secret_wipe(&b, sizeof(b));
    *ret = s;
    return true;
}

bool secret_random_digits(struct secret *ret, size_t n, struct err *err)
{
    struct secret s;
    uint8_t random[64];

    TRY(secret_new(&s, n + 1, err));
    while (s.len < n) {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
            secret_free(&s);
            return err_errno(err, ERR_INTERNAL, errno, "no random bytes");
        }
        for (size_t i = 0; i < sizeof(random) && s.len < n; i++)
            if (random[i] < 250) /* 250 to 255 would make 0 to 5 likelier */
                s.bytes[s.len++] = (uint8_t)('0' + random[i] % 10);
    }
    secret_wipe(random, sizeof(random));
    *ret = s;
    return true;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    unsigned differ = a->len != b->len;

    for (size_t i = 0; i < a->len && i < b->len; i++)
        differ |= (unsigned)(a->bytes[i] ^ b->bytes[i]);
    return !differ;
}

void secret_free(struct secret *s)
{
    if (s->mapped) {
        secret_wipe(s->bytes, s->mapped);
        munmap(s->bytes, s->mapped);
    }
    *s = (struct secret){0};
}

void secret_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool fill(const char *what, int fd, const uint8_t *bytes, size_t len, struct err *err)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, bytes + at, len - at);

        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_INTERNAL, errno, "cannot write %s", what);
        if (n > 0)
            at += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot seal %s", what);
    return true;
}

bool sealed_make(const char *what, const uint8_t *bytes, size_t len, int *ret_fd, struct err *err)
{
    int fd = memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot make a memory file for %s", what);
    if (!fill(what, fd, bytes, len, err)) {
        close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

bool sealed_map(const char *what, int fd, const uint8_t **ret, size_t *ret_len, struct err *err)
{
    struct stat st;

    if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size <= 0)
        return err_set(err, ERR_INTERNAL, "%s is no sealed memory file", what);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(err, ERR_INTERNAL, errno, "cannot map %s", what);
    *ret = p;
    *ret_len = (size_t)st.st_size;
    return true;
}

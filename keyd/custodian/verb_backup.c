/* SPDX-License-Identifier: Apache-2.0
 *
 * backup: a snapshot of registry and token, taken between two verbs, when both say the same and
 * nobody but us could change them; then other verbs are served while the operator's client fetches
 * it piece by piece. It is one file without a name in the state directory, so that it is gone when
 * we are, however we end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/softhsm.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/manifest.h"

#define SPOOL    "backup.spool" /* both have a name for a moment only */
#define COPY     "backup.db"
#define IDLE_S   60u          /* a snapshot that nobody reads goes after this */
#define PIECE    (512u << 10) /* a reply fits in a frame */
#define COPY_BUF 65536

#define PATH_SIZE 640

static const char *path_of(const struct custodian *c, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%s", c->state_dir, name);
    return path;
}

void backup_forget(struct custodian *c)
{
    if (c->snapshot.fd >= 0)
        close(c->snapshot.fd);
    c->snapshot = (struct snapshot){.fd = -1};
}

void backup_clean(struct custodian *c)
{
    char path[PATH_SIZE];

    unlink(path_of(c, SPOOL, path));
    unlink(path_of(c, COPY, path));
    unlink(path_of(c, COPY "-journal", path));
    backup_forget(c);
}

/* ---- writing it */

struct spool {
    int fd;
    uint64_t size;
    struct buf manifest;
};

static void spool_free(struct spool *s)
{
    if (s->fd >= 0)
        close(s->fd);
    buf_free(&s->manifest);
}

static bool spool_open(const struct custodian *c, struct spool *s, struct err *err)
{
    char path[PATH_SIZE];

    s->fd =
        open(path_of(c, SPOOL, path), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0 || unlink(path) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot make %s", path);
    return true;
}

static bool spool_write(struct spool *s, const uint8_t *bytes, size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t n = write(s->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_errno(err, ERR_STORAGE, errno, "cannot write the backup's snapshot");
            return err_hint(err, "it needs as much room in the state directory as registry and "
                                 "token have, and goes when the backup is done");
        }
        bytes += n;
        len -= (size_t)n;
        s->size += (uint64_t)n;
    }
    return true;
}

/* A file of the token; softhsm_take. */
static bool add_bytes(void *user, const char *name, const uint8_t *bytes, size_t len,
                      struct err *err)
{
    CLEANUP(sum_free) struct sum sum = {.ctx = NULL};
    struct manifest_file file = {.size = len};
    struct spool *s = user;

    snprintf(file.name, sizeof(file.name), "%s", name);
    TRY(sum_begin(&sum, err));
    if (!sum_add(&sum, bytes, len) || !sum_end(&sum, file.sum))
        return err_set(err, ERR_INTERNAL, "libcrypto makes no SHA-256");
    TRY(spool_write(s, bytes, len, err));
    return manifest_add(&s->manifest, &file, err);
}

static bool add_open(struct spool *s, int fd, struct manifest_file *file, struct err *err)
{
    CLEANUP(sum_free) struct sum sum = {.ctx = NULL};
    AUTO_FREE uint8_t *bytes = mem_new(COPY_BUF);
    ssize_t n;

    TRY(sum_begin(&sum, err));
    while (bytes && (n = read(fd, bytes, COPY_BUF)) != 0) {
        if (n < 0)
            return err_errno(err, ERR_STORAGE, errno, "cannot read the copy of the registry");
        if (!sum_add(&sum, bytes, (size_t)n))
            return err_set(err, ERR_INTERNAL, "libcrypto makes no SHA-256");
        TRY(spool_write(s, bytes, (size_t)n, err));
        file->size += (uint64_t)n;
    }
    if (!bytes || !sum_end(&sum, file->sum))
        return err_set(err, ERR_INTERNAL, "no memory for a backup");
    return manifest_add(&s->manifest, file, err);
}

static bool add_registry(struct custodian *c, struct spool *s, struct err *err)
{
    struct manifest_file file = {.name = MANIFEST_REGISTRY};
    char path[PATH_SIZE];

    unlink(path_of(c, COPY, path));
    bool ok = registry_copy(c->registry, path, err);
    int fd = ok ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (ok && fd < 0)
        ok = err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
    unlink(path);
    ok = ok && add_open(s, fd, &file, err);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* What the manifest says of it all. */
static bool describe(struct custodian *c, struct manifest *ret, struct err *err)
{
    const struct token_info *token = token_info(c->token);
    AUTO_FREE struct token_private *list = NULL;
    time_t now = time(NULL);
    uint32_t tenants;
    struct tm utc;
    size_t count;

    TRY(registry_counts(c->registry, &tenants, &ret->keys, err));
    TRY(token_list_private(c->token, &list, &count, err));
    ret->private_keys = (uint32_t)count;
    strftime(ret->time, sizeof(ret->time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    snprintf(ret->keyd, sizeof(ret->keyd), "%s", KEYD_VERSION);
    snprintf(ret->token_label, sizeof(ret->token_label), "%s", token->label);
    snprintf(ret->token_serial, sizeof(ret->token_serial), "%s", token->serial);
    snprintf(ret->token_model, sizeof(ret->token_model), "%s", token->model);
    return true;
}

static bool fill_spool(struct custodian *c, struct spool *s, uint64_t *ret_manifest_at,
                       struct err *err)
{
    struct manifest head = {.files = 0};
    bool any;

    TRY(describe(c, &head, err));
    TRY(manifest_begin(&s->manifest, &head, err));
    TRY(add_registry(c, s, err));
    TRY(softhsm_files(c->state_dir, head.token_serial, add_bytes, s, &any, err));
    TRY(manifest_end(&s->manifest, err));
    *ret_manifest_at = s->size;
    return spool_write(s, buf_head(&s->manifest), s->manifest.len, err);
}

static bool take(struct custodian *c, struct err *err)
{
    CLEANUP(spool_free) struct spool s = {.fd = -1};
    struct snapshot snapshot = {.until = clock_us() + IDLE_S * 1000000ull};

    TRY(spool_open(c, &s, err));
    TRY(fill_spool(c, &s, &snapshot.manifest_at, err));
    if (getrandom(snapshot.id, sizeof(snapshot.id), 0) != (ssize_t)sizeof(snapshot.id))
        return err_set(err, ERR_INTERNAL, "the kernel gives no random bytes");
    snapshot.size = s.size;
    snapshot.fd = s.fd;
    s.fd = -1;
    c->snapshot = snapshot;
    return true;
}

/* ---- the verbs */

static bool nobody_reads(struct custodian *c, struct err *err)
{
    uint64_t now = clock_us();

    if (c->snapshot.fd < 0)
        return true;
    if (now >= c->snapshot.until) {
        backup_forget(c);
        return true;
    }
    err_set(err, ERR_BUSY, "another backup is being read");
    err_hint(err, "one that was broken off is forgotten after %u s", IDLE_S);
    return err_retry(err, (uint32_t)((c->snapshot.until - now) / 1000 + 1));
}

static bool copy_pin_source(const struct custodian *c, const struct ask *ask, char **ret,
                            struct err *err)
{
    char path[512];

    TRY(token_uri_pin_source(c->uri, path, sizeof(path), err));
    *ret = arena_dup(ask->arena, path, strlen(path));
    return *ret || err_set(err, ERR_INTERNAL, "no memory for a reply");
}

bool verb_backup(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__BackupReply *reply = ask_alloc(ask, sizeof(*reply), err);

    TRY(reply);
    keyd__v1__backup_reply__init(reply);
    TRY(copy_pin_source(c, ask, &reply->pin_source, err));
    TRY(nobody_reads(c, err));
    TRY(take(c, err));
    reply->snapshot.data = ask_alloc(ask, sizeof(c->snapshot.id), err);
    TRY(reply->snapshot.data);
    memcpy(reply->snapshot.data, c->snapshot.id, sizeof(c->snapshot.id));
    reply->snapshot.len = sizeof(c->snapshot.id);
    reply->size = c->snapshot.size;
    reply->manifest_at = c->snapshot.manifest_at;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_BACKUP_REPLY;
    ret->backup_reply = reply;
    return true;
}

static bool is_the_snapshot(const struct custodian *c, ProtobufCBinaryData id, struct err *err)
{
    const struct snapshot *s = &c->snapshot;

    if (s->fd >= 0 && clock_us() < s->until && id.len == sizeof(s->id) &&
        memcmp(id.data, s->id, sizeof(s->id)) == 0)
        return true;
    err_set(err, ERR_NOT_FOUND, "the backup's snapshot is gone");
    return err_hint(err, "the custodian was replaced, or nothing was read for %u s: begin again",
                    IDLE_S);
}

bool verb_backup_read(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    const Keyd__V1__BackupRead *request = ask->e->backup_read;
    Keyd__V1__BackupReadReply *reply = ask_alloc(ask, sizeof(*reply), err);

    TRY(reply);
    keyd__v1__backup_read_reply__init(reply);
    TRY(is_the_snapshot(c, request->snapshot, err));
    c->snapshot.until = clock_us() + IDLE_S * 1000000ull;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_BACKUP_READ_REPLY;
    ret->backup_read_reply = reply;
    if (request->done) {
        backup_forget(c);
        return true;
    }
    if (request->offset >= c->snapshot.size)
        return true;
    reply->data.data = ask_alloc(ask, PIECE, err);
    TRY(reply->data.data);
    ssize_t n = pread(c->snapshot.fd, reply->data.data, PIECE, (off_t)request->offset);
    if (n < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot read the backup's snapshot");
    reply->data.len = (size_t)n;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A backup is a stream that keyd keeps for us: files, one behind the other, and the manifest that
 * tells them apart. It is fetched in pieces, the manifest first; each file goes to the caller and
 * into a sum at the same time.
 */
#include <stdio.h>
#include <string.h>

#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"
#include "proto/manifest.h"

struct stream {
    struct keyd_client *client;
    struct arena arena; /* holds the answer with the piece... */
    const uint8_t *piece;
    size_t piece_len;
    uint64_t piece_at; /* ...and where that lies in the stream */
    uint8_t id[16];
    uint64_t size, manifest_at;
};

static void stream_free(struct stream *s)
{
    arena_free(&s->arena);
}

static const envelope *ask(struct stream *s, const envelope *request,
                           Keyd__V1__Envelope__BodyCase want, struct err *err)
{
    const envelope *reply;

    arena_free(&s->arena);
    s->arena = arena_of(ANSWER_ARENA_CAP);
    return call_one(s->client, JOB_READING, call_deadline(s->client), request, want, &s->arena,
                    &reply, err)
               ? reply
               : NULL;
}

static bool begin(struct stream *s, struct keyd_backup *info, struct err *err)
{
    Keyd__V1__Backup body = KEYD__V1__BACKUP__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;

    request.body_case = KEYD__V1__ENVELOPE__BODY_BACKUP;
    request.backup = &body;
    const envelope *reply = ask(s, &request, KEYD__V1__ENVELOPE__BODY_BACKUP_REPLY, err);
    TRY(reply);
    const Keyd__V1__BackupReply *b = reply->backup_reply;
    if (b->snapshot.len != sizeof(s->id) || b->manifest_at >= b->size)
        return err_set(err, ERR_INTERNAL, "keyd's answer names no snapshot");
    memcpy(s->id, b->snapshot.data, sizeof(s->id));
    s->size = b->size;
    s->manifest_at = b->manifest_at;
    snprintf(info->pin_source, sizeof(info->pin_source), "%s", b->pin_source);
    return true;
}

static bool fetch(struct stream *s, uint64_t offset, bool done, struct err *err)
{
    Keyd__V1__BackupRead body = KEYD__V1__BACKUP_READ__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;

    body.snapshot = (ProtobufCBinaryData){.len = sizeof(s->id), .data = s->id};
    body.offset = offset;
    body.done = done;
    request.body_case = KEYD__V1__ENVELOPE__BODY_BACKUP_READ;
    request.backup_read = &body;
    s->piece_len = 0;
    const envelope *reply = ask(s, &request, KEYD__V1__ENVELOPE__BODY_BACKUP_READ_REPLY, err);
    TRY(reply);
    s->piece = reply->backup_read_reply->data.data;
    s->piece_len = reply->backup_read_reply->data.len;
    s->piece_at = offset;
    return done || s->piece_len > 0 || err_set(err, ERR_INTERNAL, "keyd's snapshot is too short");
}

/* Some bytes from `at` on, at most n, borrowed until the next call; *ret_len is how many. */
static bool some(struct stream *s, uint64_t at, uint64_t n, const uint8_t **ret, size_t *ret_len,
                 struct err *err)
{
    if (at < s->piece_at || at - s->piece_at >= s->piece_len)
        TRY(fetch(s, at, false, err));
    size_t skip = (size_t)(at - s->piece_at), left = s->piece_len - skip;
    *ret = s->piece + skip;
    *ret_len = left < n ? left : (size_t)n;
    return true;
}

static bool read_manifest(struct stream *s, uint8_t **ret, size_t *ret_len, struct err *err)
{
    uint64_t size = s->size - s->manifest_at;
    AUTO_FREE uint8_t *bytes = size <= MANIFEST_MAX ? mem_new((size_t)size) : NULL;
    const uint8_t *p;
    size_t n;

    if (!bytes)
        return err_set(err, ERR_INTERNAL, "no memory for a manifest of %llu bytes",
                       (unsigned long long)size);
    for (uint64_t at = 0; at < size; at += n) {
        TRY(some(s, s->manifest_at + at, size - at, &p, &n, err));
        memcpy(bytes + at, p, n);
    }
    *ret = TAKE(bytes);
    *ret_len = (size_t)size;
    return true;
}

static bool gave_up(struct err *err)
{
    return err_set(err, ERR_STORAGE, "the backup could not be written");
}

static bool hand_over(struct stream *s, uint64_t at, const struct manifest_file *file,
                      const struct keyd_backup_sink *sink, struct err *err)
{
    CLEANUP(sum_free) struct sum sum = {.ctx = NULL};
    uint8_t is[SUM_LEN];
    const uint8_t *p;
    size_t n;

    TRY(sum_begin(&sum, err));
    if (!sink->begin(sink->context, file->name, file->size))
        return gave_up(err);
    for (uint64_t done = 0; done < file->size; done += n) {
        TRY(some(s, at + done, file->size - done, &p, &n, err));
        if (!sum_add(&sum, p, n))
            return err_set(err, ERR_INTERNAL, "libcrypto makes no SHA-256");
        if (!sink->write(sink->context, p, n))
            return gave_up(err);
    }
    if (!sum_end(&sum, is) || memcmp(is, file->sum, SUM_LEN) != 0)
        return err_set(err, ERR_INTERNAL, "%s came with another SHA-256 than the manifest says",
                       file->name);
    return sink->end(sink->context) || gave_up(err);
}

static bool hand_over_all(struct stream *s, const struct manifest *m,
                          const struct keyd_backup_sink *sink, struct err *err)
{
    struct rd lines = m->lines;
    struct manifest_file file;
    uint64_t at = 0;

    if (m->bytes != s->manifest_at)
        return err_set(err, ERR_INTERNAL, "the manifest does not fit keyd's snapshot");
    for (; manifest_next(&lines, &file); at += file.size)
        TRY(hand_over(s, at, &file, sink, err));
    return true;
}

static bool hand_over_manifest(const uint8_t *bytes, size_t len,
                               const struct keyd_backup_sink *sink, struct err *err)
{
    if (sink->begin(sink->context, MANIFEST_NAME, len) && sink->write(sink->context, bytes, len) &&
        sink->end(sink->context))
        return true;
    return gave_up(err);
}

static void describe(const struct manifest *m, struct keyd_backup *info)
{
    snprintf(info->time, sizeof(info->time), "%s", m->time);
    snprintf(info->keyd, sizeof(info->keyd), "%s", m->keyd);
    snprintf(info->token_label, sizeof(info->token_label), "%s", m->token_label);
    snprintf(info->token_serial, sizeof(info->token_serial), "%s", m->token_serial);
    info->token_private_keys = m->private_keys;
    info->keys = m->keys;
    info->files = m->files;
    info->bytes = m->bytes;
    info->token_files = m->token_files;
}

static bool backup(struct keyd_client *client, const struct keyd_backup_sink *sink,
                   struct keyd_backup *info, struct err *err)
{
    CLEANUP(stream_free) struct stream s = {.client = client, .arena = arena_of(ANSWER_ARENA_CAP)};
    AUTO_FREE uint8_t *bytes = NULL;
    struct manifest m;
    struct err ignored;
    size_t len = 0;

    TRY(begin(&s, info, err));
    bool ok = read_manifest(&s, &bytes, &len, err) && manifest_read(bytes, len, &m, err) &&
              hand_over_all(&s, &m, sink, err);
    (void)fetch(&s, 0, true, &ignored); /* it would go by itself, later */
    TRY(ok);
    TRY(hand_over_manifest(bytes, len, sink, err));
    describe(&m, info);
    return true;
}

int keyd_backup(struct keyd_client *client, const struct keyd_backup_sink *sink,
                struct keyd_backup *ret, struct keyd_error *error)
{
    struct keyd_backup info = {.files = 0};
    struct err err = {0};
    bool ok = backup(client, sink, &info, &err);

    if (ok)
        *ret = info;
    return call_result(ok, &err, error);
}

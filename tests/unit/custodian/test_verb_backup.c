/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/manifest.h"

static uint8_t id[16];
static uint64_t size, manifest_at;

static void begin(void)
{
    Keyd__V1__Backup body = KEYD__V1__BACKUP__INIT;
    REQUEST(e, BACKUP, backup, &body);

    const Keyd__V1__BackupReply *r =
        rig_call(&e, KEYD__V1__ENVELOPE__BODY_BACKUP_REPLY)->backup_reply;
    assert_int_equal(r->snapshot.len, sizeof(id));
    memcpy(id, r->snapshot.data, sizeof(id));
    size = r->size;
    manifest_at = r->manifest_at;
    assert_non_null(strstr(r->pin_source, "user.pin"));
}

static void fill_read(Keyd__V1__BackupRead *body, uint64_t offset, bool done)
{
    keyd__v1__backup_read__init(body);
    body->snapshot = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
    body->offset = offset;
    body->done = done;
}

static ProtobufCBinaryData read_at(uint64_t offset, bool done)
{
    Keyd__V1__BackupRead body;
    REQUEST(e, BACKUP_READ, backup_read, &body);

    fill_read(&body, offset, done);
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_BACKUP_READ_REPLY)->backup_read_reply->data;
}

static uint8_t *read_all(void)
{
    uint8_t *all = mem_new((size_t)size);

    for (uint64_t at = 0; at < size;) {
        ProtobufCBinaryData piece = read_at(at, false);
        assert_true(piece.len > 0 && piece.len <= 512u << 10 && piece.len <= size - at);
        memcpy(all + at, piece.data, piece.len);
        at += piece.len;
    }
    return all;
}

static void unread_gone(void)
{
    Keyd__V1__BackupRead body;
    REQUEST(e, BACKUP_READ, backup_read, &body);

    fill_read(&body, 0, false);
    rig_refused(&e, ERR_NOT_FOUND, "snapshot is gone");
}

static bool file_there(const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", rig.state, name);
    return access(path, F_OK) == 0;
}

static void the_stream_is_files_and_their_manifest(void **state)
{
    struct manifest_file file;
    struct manifest m;
    struct err err;
    uint64_t at = 0;
    bool master_keys = false;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    begin();
    assert_false(file_there("backup.spool"));
    assert_false(file_there("backup.db"));
    rig_generate("acme", "later", KEY_TYPE_EC_P256, 0); /* served meanwhile, and not in it */
    AUTO_FREE uint8_t *all = read_all();
    assert_int_equal(read_at(size, false).len, 0);
    assert_int_equal(read_at(UINT64_MAX, false).len, 0);
    must(manifest_read(all + manifest_at, (size_t)(size - manifest_at), &m, &err), &err);
    assert_int_equal(m.keys, 1);
    assert_int_equal(m.private_keys, 1);
    assert_int_equal(m.bytes, manifest_at);
    assert_true(m.token_files);
    for (struct rd lines = m.lines; manifest_next(&lines, &file); at += file.size) {
        struct sum sum = {.ctx = NULL};
        uint8_t is[SUM_LEN];

        must(sum_begin(&sum, &err), &err);
        assert_true(sum_add(&sum, all + at, (size_t)file.size) && sum_end(&sum, is));
        sum_free(&sum);
        assert_memory_equal(is, file.sum, SUM_LEN);
        if (at == 0)
            assert_memory_equal(all, "SQLite format 3", 16);
        master_keys = master_keys || (strstr(file.name, "/token.object") && file.size == 320);
    }
    assert_true(master_keys);
    rig_stop();
}

static void one_at_a_time(void **state)
{
    Keyd__V1__Backup body = KEYD__V1__BACKUP__INIT;
    REQUEST(e, BACKUP, backup, &body);

    (void)state;
    rig_serve();
    begin();
    const Keyd__V1__Error *busy = rig_refused(&e, ERR_BUSY, "another backup is being read");
    assert_true(busy->retry_after_ms > 0 && busy->retry_after_ms <= 60001);
    read_at(0, true);
    unread_gone();
    begin();
    id[0] ^= 1; /* nobody else's */
    unread_gone();
    rig_stop();
}

static void it_goes_with_the_custodian(void **state)
{
    (void)state;
    rig_serve();
    begin();
    rig_kill();
    rig_serve();
    unread_gone();
    begin();
    rig_stop();
}

static void only_operators(void **state)
{
    Keyd__V1__Backup body = KEYD__V1__BACKUP__INIT;
    REQUEST(e, BACKUP, backup, &body);

    (void)state;
    rig_serve();
    rig_ask(&e, ROLE_FRONTEND, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_int_equal(answer->body_case, KEYD__V1__ENVELOPE__BODY_ERROR);
    assert_int_equal(answer->error->code, ERR_DENIED);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_stream_is_files_and_their_manifest),
        RIG_TEST(one_at_a_time),
        RIG_TEST(it_goes_with_the_custodian),
        RIG_TEST(only_operators),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

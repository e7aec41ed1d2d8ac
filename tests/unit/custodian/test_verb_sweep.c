/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Beginnings of an object's file, as a kill leaves them: the counter, CKA_CLASS, CKA_TOKEN. */
static const uint8_t beginning[] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,   0, 0,
                                    0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3,   0, 0,
                                    0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

static void folder(char *buf, size_t size)
{
    char pattern[300];
    glob_t g;

    snprintf(pattern, sizeof(pattern), "%s/tokens/*/token.object", rig.state);
    assert_int_equal(glob(pattern, 0, NULL, &g), 0);
    snprintf(buf, size, "%.*s", (int)(strlen(g.gl_pathv[0]) - strlen("/token.object")),
             g.gl_pathv[0]);
    globfree(&g);
}

static void leave(const char *name, size_t n, unsigned age_s)
{
    char dir[300], path[400];
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};

    folder(dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, beginning, n), n);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool is_there(const char *name)
{
    char dir[300], path[400];

    folder(dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static const Keyd__V1__TokenSweepReply *sweep(ProtobufCBinaryData *ids, size_t n)
{
    Keyd__V1__TokenSweep body = KEYD__V1__TOKEN_SWEEP__INIT;
    REQUEST(e, TOKEN_SWEEP, token_sweep, &body);

    body.fragments = ids;
    body.n_fragments = n;
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP_REPLY)->token_sweep_reply;
}

static bool a_key_without_id(struct token *t, struct registry *r, struct err *err)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;

    (void)r;
    return token_generate(t, KEY_TYPE_EC_P256, (const uint8_t *)"", 0, "", true, &handle, spki,
                          &len, err);
}

#define IDS_MAX 8

static void what_is_named_goes(void **state)
{
    uint8_t copies[IDS_MAX][KEY_ID_LEN];
    ProtobufCBinaryData ids[IDS_MAX];
    const Keyd__V1__TokenSweepReply *r;

    (void)state;
    rig_with_token(a_key_without_id); /* a whole key: somebody's */
    leave("class.object", 32, 0);
    leave("token-too.object", 49, 0);
    leave("empty.object", 0, 3600);
    leave("counter.object", 8, 3600);
    leave("fresh.object", 0, 0);
    leave("other.file", 0, 3600);
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    r = sweep(NULL, 0);
    assert_int_equal(r->n_fragments, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r->fragments[i]->id.len, KEY_ID_LEN);
        memcpy(copies[i], r->fragments[i]->id.data, KEY_ID_LEN);
        ids[i] = (ProtobufCBinaryData){.len = KEY_ID_LEN, .data = copies[i]};
    }
    assert_true(is_there("class.object") && is_there("empty.object")); /* shown, not removed */
    assert_int_equal(sweep(&ids[3], 1)->n_fragments, 1);
    assert_int_equal(sweep(NULL, 0)->n_fragments, 3);
    assert_int_equal(sweep(ids, 4)->n_fragments, 3); /* one is gone already */
    assert_int_equal(sweep(NULL, 0)->n_fragments, 0);
    assert_false(is_there("class.object") || is_there("token-too.object") ||
                 is_there("empty.object") || is_there("counter.object"));
    assert_true(is_there("fresh.object") && is_there("other.file") && is_there("token.object"));
    rig_stop();
    assert_int_equal(rig_private_keys(), 2);
}

/* Whatever a client names: only what is found to be a fragment goes. */
static void a_word_is_not_enough(void **state)
{
    uint8_t cka_id[KEY_ID_LEN] = {0};
    ProtobufCBinaryData ids[] = {{.len = KEY_ID_LEN, .data = cka_id}, {.len = 3, .data = cka_id}};
    const Keyd__V1__Key *key;

    (void)state;
    leave("empty.object", 0, 3600);
    rig_serve();
    rig_tenant("acme");
    key = rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    memcpy(cka_id, key->id.data, sizeof(cka_id));
    assert_int_equal(sweep(ids, 2)->n_fragments, 0);
    assert_true(is_there("empty.object"));
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_is_named_goes),
        RIG_TEST(a_word_is_not_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

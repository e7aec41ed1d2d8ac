/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "proto/base/mem.h"

static size_t open_intents(struct place *p, struct registry_intent *ret_first)
{
    AUTO_FREE struct registry_intent *list = NULL;
    size_t count = 0;
    struct err err;

    OK(registry_intent_list(p->r, &list, &count, &err));
    if (count > 0 && ret_first)
        *ret_first = list[0];
    return count;
}

static void committed(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "www", 1), seen;
    struct registry_key key = a_key(&intent, 1), found;
    struct err err;

    add_tenant(p, "acme");
    assert_int_equal(open_intents(p, NULL), 0);
    OK(registry_intent_add(p->r, &intent, &err));
    assert_int_equal(open_intents(p, &seen), 1);
    assert_memory_equal(seen.id, intent.id, sizeof(seen.id));
    assert_string_equal(seen.verb, "keys-generate");
    assert_string_equal(seen.tenant, "acme");
    assert_string_equal(seen.name, "www");
    assert_int_equal(seen.type, KEY_TYPE_EC_P256);
    assert_int_equal(seen.purposes, PURPOSES_DEFAULT);
    assert_int_equal(seen.cka_id_len, 18);
    assert_memory_equal(seen.cka_id, intent.cka_id, 18);
    assert_int_equal(seen.created, intent.created);
    REFUSED(registry_key_find(p->r, "acme/www", "", &found, &err), ERR_NOT_FOUND);
    OK(registry_intent_commit(p->r, intent.id, &key, &err));
    assert_int_equal(open_intents(p, NULL), 0);
    OK(registry_key_find(p->r, "acme/www", "", &found, &err));
}

static void dropped(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "www", 1);
    struct err err;

    add_tenant(p, "acme");
    OK(registry_intent_add(p->r, &intent, &err));
    OK(registry_intent_drop(p->r, intent.id, &err));
    assert_int_equal(open_intents(p, NULL), 0);
    REFUSED(registry_intent_drop(p->r, intent.id, &err), ERR_NOT_FOUND);
    OK(registry_intent_add(p->r, &intent, &err)); /* the name is free again */
}

static void refused(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "www", 1), other;
    struct err err;

    REFUSED(registry_intent_add(p->r, &intent, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "there is no tenant acme");
    add_tenant(p, "acme");
    other = an_intent("acme", "No name", 1);
    REFUSED(registry_intent_add(p->r, &other, &err), ERR_BAD_REQUEST);
    OK(registry_intent_add(p->r, &intent, &err));
    other = an_intent("acme", "www", 2);
    REFUSED(registry_intent_add(p->r, &other, &err), ERR_EXISTS);
    assert_non_null(strstr(err.text, "is being made"));
    add_key(p, "acme", "mail", 3);
    other = an_intent("acme", "mail", 4);
    REFUSED(registry_intent_add(p->r, &other, &err), ERR_EXISTS);
    assert_string_equal(err.text, "the key acme/mail is there already");
    assert_int_equal(open_intents(p, NULL), 1);
}

/* Both or neither: what cannot be committed leaves the intent where it was. */
static void commit_is_one_step(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "www", 1);
    struct registry_key key = a_key(&intent, 1), found;
    uint8_t no_such[INTENT_ID_LEN] = {0};
    struct err err;

    add_tenant(p, "acme");
    add_key(p, "acme", "mail", 7);
    OK(registry_intent_add(p->r, &intent, &err));
    key.id[0] = 7; /* a public key that is there already */
    REFUSED(registry_intent_commit(p->r, intent.id, &key, &err), ERR_EXISTS);
    assert_int_equal(open_intents(p, NULL), 1);
    key.id[0] = 1;
    REFUSED(registry_intent_commit(p->r, no_such, &key, &err), ERR_NOT_FOUND);
    REFUSED(registry_key_find(p->r, "acme/www", "", &found, &err), ERR_NOT_FOUND);
    memcpy(key.tenant, "nobody", 7); /* a foreign key */
    REFUSED(registry_intent_commit(p->r, intent.id, &key, &err), ERR_CONFLICT);
    memcpy(key.tenant, "acme", 5);
    OK(registry_intent_commit(p->r, intent.id, &key, &err));
    assert_int_equal(open_intents(p, NULL), 0);
}

/* A process is killed between intent and commit: the intent is there, the key is not. */
static void killed_in_between(void **state)
{
    struct place *p = *state;
    struct registry_intent seen;
    struct registry_key found;
    struct err err;
    int status;

    add_tenant(p, "acme");
    registry_close(p->r);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct registry_intent intent = an_intent("acme", "www", 5);
        if (registry_open(&p->r, p->path, &err) && registry_intent_add(p->r, &intent, &err))
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    place_open(p);
    assert_int_equal(open_intents(p, &seen), 1);
    assert_int_equal(seen.id[0], 5);
    assert_string_equal(seen.name, "www");
    REFUSED(registry_key_find(p->r, "acme/www", "", &found, &err), ERR_NOT_FOUND);
}

static void several_in_their_order(void **state)
{
    struct place *p = *state;
    AUTO_FREE struct registry_intent *list = NULL;
    size_t count = 0;
    struct err err;

    add_tenant(p, "acme");
    for (uint8_t i = 9; i > 0; i--) {
        char name[8];
        snprintf(name, sizeof(name), "k%u", i);
        struct registry_intent intent = an_intent("acme", name, i);
        OK(registry_intent_add(p->r, &intent, &err));
    }
    place_reopen(p);
    OK(registry_intent_list(p->r, &list, &count, &err));
    assert_int_equal(count, 9);
    for (size_t i = 1; i < count; i++)
        assert_true(list[i - 1].created < list[i].created ||
                    memcmp(list[i - 1].id, list[i].id, INTENT_ID_LEN) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(committed),         PLACE_TEST(dropped),
        PLACE_TEST(refused),           PLACE_TEST(commit_is_one_step),
        PLACE_TEST(killed_in_between), PLACE_TEST(several_in_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <string.h>

/* ids begin with 00, 01, ... and go on with zeroes; two differ in the fifth byte only */
static void fill(struct place *p)
{
    struct registry_intent intent;
    struct registry_key key;
    struct err err;

    add_tenant(p, "acme");
    add_tenant(p, "zeta");
    add_key(p, "acme", "www", 0xab);
    add_key(p, "zeta", "www", 0xcd);
    intent = an_intent("acme", "mail", 0x11);
    key = a_key(&intent, 0xab);
    key.id[4] = 0x70;
    OK(registry_intent_add(p->r, &intent, &err));
    OK(registry_intent_commit(p->r, intent.id, &key, &err));
}

static void found_by_name_and_prefix(void **state)
{
    static const struct {
        const char *key, *tenant, *name;
    } yes[] = {
        {"acme/www", "acme", "www"},
        {"acme/mail", "acme", "mail"},
        {"zeta/www", "zeta", "www"},
        {"cd000000", "zeta", "www"},
        {"CD000000", "zeta", "www"},
        {"cd0000000", "zeta", "www"}, /* half a byte */
        {"cd00000000000000000000000000000000000000000000000000000000000000", "zeta", "www"},
        {"ab0000007", "acme", "mail"},
        {"ab0000000", "acme", "www"},
    };
    struct place *p = *state;
    struct registry_key key;
    struct err err;

    fill(p);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        OK(registry_key_find(p->r, yes[i].key, "", &key, &err));
        assert_string_equal(key.tenant, yes[i].tenant);
        assert_string_equal(key.name, yes[i].name);
    }
}

static void not_found(void **state)
{
    static const struct {
        const char *key;
        enum err_code code;
        const char *text;
    } no[] = {
        {"acme/ftp", ERR_NOT_FOUND, "the tenant acme has no key ftp"},
        {"nobody/www", ERR_NOT_FOUND, "there is no tenant nobody"},
        {"ef000000", ERR_NOT_FOUND, "there is no key whose id starts with ef000000"},
        {"cd000001", ERR_NOT_FOUND, "there is no key whose id starts with cd000001"},
        {"cd00000", ERR_BAD_REQUEST, "\"cd00000\" names no key"},
        {"", ERR_BAD_REQUEST, "\"\" names no key"},
        {"www", ERR_BAD_REQUEST, "\"www\" names no key"},
        {"cd00000g", ERR_BAD_REQUEST, "\"cd00000g\" names no key"},
        {"cd000000000000000000000000000000000000000000000000000000000000000", ERR_BAD_REQUEST,
         "names no key"},
        {"/", ERR_BAD_REQUEST, ""},
        {"/www", ERR_BAD_REQUEST, ""},
        {"acme/", ERR_BAD_REQUEST, ""},
        {"acme/www/x", ERR_BAD_REQUEST, ""},
        {"ACME/www", ERR_BAD_REQUEST, ""},
        {"0123456789012345678901234567890123456789012345678901234567890123/a", ERR_BAD_REQUEST,
         "is no tenant/name"},
    };
    struct place *p = *state;
    struct registry_key key = {.spki_len = 77};
    struct err err;

    fill(p);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        REFUSED(registry_key_find(p->r, no[i].key, "", &key, &err), no[i].code);
        if (!strstr(err.text, no[i].text))
            fail_msg("%s: %s", no[i].key, err.text);
        assert_int_equal(key.spki_len, 77);
    }
}

static void ambiguous_lists_candidates(void **state)
{
    struct place *p = *state;
    struct registry_key key;
    struct err err;

    fill(p);
    REFUSED(registry_key_find(p->r, "ab000000", "", &key, &err), ERR_AMBIGUOUS);
    assert_string_equal(err.text, "more than one key id starts with ab000000: acme/mail, acme/www");
    assert_string_equal(err.hint, "give more digits, or tenant/name");
    for (uint8_t i = 0; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof(name), "k%u", i);
        struct registry_intent intent = an_intent("zeta", name, (uint8_t)(0x20 + i));
        struct registry_key more = a_key(&intent, 0xab);
        more.id[20] = (uint8_t)(i + 1);
        OK(registry_intent_add(p->r, &intent, &err));
        OK(registry_intent_commit(p->r, intent.id, &more, &err));
    }
    REFUSED(registry_key_find(p->r, "ab000000", "", &key, &err), ERR_AMBIGUOUS);
    assert_non_null(strstr(err.text, "acme/mail, acme/www, zeta/k0, zeta/k1, ..."));
}

static void found_by_ids(void **state)
{
    struct place *p = *state;
    uint8_t id[KEY_ID_LEN] = {0xcd}, cka_id[18];
    struct registry_key key, other;
    struct err err;

    fill(p);
    OK(registry_key_by_id(p->r, id, &key, &err));
    assert_string_equal(key.tenant, "zeta");
    id[31] = 1;
    REFUSED(registry_key_by_id(p->r, id, &key, &err), ERR_NOT_FOUND);
    memset(cka_id, 0xcd, sizeof(cka_id));
    OK(registry_key_by_cka_id(p->r, cka_id, sizeof(cka_id), &other, &err));
    assert_memory_equal(other.id, key.id, sizeof(key.id));
    REFUSED(registry_key_by_cka_id(p->r, cka_id, sizeof(cka_id) - 1, &other, &err), ERR_NOT_FOUND);
    REFUSED(registry_key_by_cka_id(p->r, cka_id, 0, &other, &err), ERR_NOT_FOUND);
}

static void all_fields_come_back(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "k", 9);
    struct registry_key in, out;
    struct err err;

    add_tenant(p, "acme");
    intent.type = KEY_TYPE_RSA_4096;
    intent.purposes = PURPOSE_TLS13_CLIENT | PURPOSE_RAW;
    in = a_key(&intent, 9);
    in.spki_len = SPKI_MAX_LEN;
    memset(in.spki, 0, 100);
    OK(registry_intent_add(p->r, &intent, &err));
    OK(registry_intent_commit(p->r, intent.id, &in, &err));
    place_reopen(p);
    memset(&out, 0xff, sizeof(out));
    OK(registry_key_find(p->r, "acme/k", "", &out, &err));
    assert_memory_equal(out.id, in.id, sizeof(in.id));
    assert_int_equal(out.type, KEY_TYPE_RSA_4096);
    assert_int_equal(out.purposes, PURPOSE_TLS13_CLIENT | PURPOSE_RAW);
    assert_int_equal(out.state, REGISTRY_KEY_ENABLED);
    assert_int_equal(out.created, in.created);
    assert_int_equal(out.cka_id_len, in.cka_id_len);
    assert_memory_equal(out.cka_id, in.cka_id, in.cka_id_len);
    assert_int_equal(out.spki_len, in.spki_len);
    assert_memory_equal(out.spki, in.spki, in.spki_len);
}

static void pages(void **state)
{
    struct place *p = *state;
    struct registry_key rows[2];
    size_t count = 77;
    bool more;
    struct err err;

    OK(registry_key_list(p->r, "", "", rows, 2, &count, &more, &err));
    assert_int_equal(count, 0);
    fill(p); /* acme/mail, acme/www, zeta/www */
    OK(registry_key_list(p->r, "", "", rows, 2, &count, &more, &err));
    assert_int_equal(count, 2);
    assert_true(more);
    assert_string_equal(rows[0].name, "mail");
    assert_string_equal(rows[1].name, "www");
    OK(registry_key_list(p->r, "", "acme/www", rows, 2, &count, &more, &err));
    assert_int_equal(count, 1);
    assert_false(more);
    assert_string_equal(rows[0].tenant, "zeta");
    OK(registry_key_list(p->r, "", "acme/n", rows, 2, &count, &more, &err)); /* no such key */
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].tenant, "acme");
    OK(registry_key_list(p->r, "acme", "", rows, 2, &count, &more, &err));
    assert_int_equal(count, 2);
    assert_false(more);
    OK(registry_key_list(p->r, "acme", "acme/mail", rows, 2, &count, &more, &err));
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].name, "www");
    REFUSED(registry_key_list(p->r, "nobody", "", rows, 2, &count, &more, &err), ERR_NOT_FOUND);
    REFUSED(registry_key_list(p->r, "", "nonsense", rows, 2, &count, &more, &err), ERR_BAD_REQUEST);
}

/* Two keys of two tenants whose ids begin alike: to each tenant its own is the only one, and the
 * other's name stands in no error of his. */
static void ids_that_begin_alike_in_two_tenants(void **state)
{
    struct place *p = *state;
    struct registry_intent intent;
    struct registry_key key;
    struct err err;

    add_tenant(p, "acme");
    add_tenant(p, "globex");
    add_key(p, "acme", "www", 1);
    intent = an_intent("globex", "secret", 2);
    key = a_key(&intent, 1);
    key.id[KEY_ID_LEN - 1] = 1;
    OK(registry_intent_add(p->r, &intent, &err));
    OK(registry_intent_commit(p->r, intent.id, &key, &err));
    REFUSED(registry_key_find(p->r, "01000000", "", &key, &err), ERR_AMBIGUOUS);
    assert_non_null(strstr(err.text, "globex/secret"));
    OK(registry_key_find(p->r, "01000000", "acme", &key, &err));
    assert_string_equal(key.tenant, "acme");
    OK(registry_key_find(p->r, "01000000", "globex", &key, &err));
    assert_string_equal(key.name, "secret");
    REFUSED(registry_key_find(p->r, "01000000", "initech", &key, &err), ERR_NOT_FOUND);
    REFUSED(registry_key_find(p->r, "globex/secret", "acme", &key, &err), ERR_NOT_FOUND);
}

/* ---- keys that the token had before */

static void adopted_whole_or_not_at_all(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "old", 0x21);
    struct registry_key key = a_key(&intent, 0x21), found;
    char seen[REGISTRY_SEEN_MAX + 1];
    struct err err;

    fill(p);
    OK(registry_key_adopt(p->r, &key, "CKA_SIGN=true\n", &err));
    assert_true(key.adopted && key.created > 0);
    place_reopen(p);
    OK(registry_key_find(p->r, "acme/old", "", &found, &err));
    assert_true(found.adopted);
    OK(registry_key_seen(p->r, found.id, seen, &err));
    assert_string_equal(seen, "CKA_SIGN=true\n");
    OK(registry_key_find(p->r, "acme/mail", "", &found, &err));
    assert_false(found.adopted);
    REFUSED(registry_key_seen(p->r, found.id, seen, &err), ERR_NOT_FOUND);
    /* taken: the name; the id; and an unknown tenant */
    REFUSED(registry_key_adopt(p->r, &key, "", &err), ERR_EXISTS);
    memcpy(key.name, "new", 4);
    REFUSED(registry_key_adopt(p->r, &key, "", &err), ERR_EXISTS);
    memcpy(key.tenant, "nobd", 5);
    REFUSED(registry_key_adopt(p->r, &key, "", &err), ERR_NOT_FOUND);
    REFUSED(registry_key_find(p->r, "acme/new", "", &found, &err), ERR_NOT_FOUND);
}

/* Its row goes, and what was seen of it with it: the same key may be adopted again. */
static void adopted_and_gone(void **state)
{
    struct place *p = *state;
    struct registry_intent intent = an_intent("acme", "old", 0x21);
    struct registry_key key = a_key(&intent, 0x21);
    char seen[REGISTRY_SEEN_MAX + 1];
    struct err err;

    fill(p);
    OK(registry_key_adopt(p->r, &key, "a", &err));
    OK(registry_key_set_state(p->r, key.id, REGISTRY_KEY_DESTROYING, &err));
    OK(registry_key_remove(p->r, key.id, &err));
    REFUSED(registry_key_seen(p->r, key.id, seen, &err), ERR_NOT_FOUND);
    OK(registry_key_adopt(p->r, &key, "b", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(ids_that_begin_alike_in_two_tenants),
        PLACE_TEST(found_by_name_and_prefix),
        PLACE_TEST(not_found),
        PLACE_TEST(ambiguous_lists_candidates),
        PLACE_TEST(found_by_ids),
        PLACE_TEST(all_fields_come_back),
        PLACE_TEST(pages),
        PLACE_TEST(adopted_whole_or_not_at_all),
        PLACE_TEST(adopted_and_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

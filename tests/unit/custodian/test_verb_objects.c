/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

static const Keyd__V1__TokenObjectsReply *objects(uint32_t after)
{
    Keyd__V1__TokenObjects body = KEYD__V1__TOKEN_OBJECTS__INIT;
    REQUEST(e, TOKEN_OBJECTS, token_objects, &body);

    body.after = after;
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY)->token_objects_reply;
}

static const char *attribute(const Keyd__V1__TokenObject *o, const char *name)
{
    for (size_t i = 0; i < o->n_attributes; i++)
        if (strcmp(o->attributes[i]->name, name) == 0)
            return o->attributes[i]->value;
    return NULL;
}

/* A key that keyd does not know. */
static bool a_stranger(struct token *t, struct registry *r, struct err *err)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;

    (void)r;
    return token_generate(t, KEY_TYPE_EC_P256, (const uint8_t *)"alien", 5, "not\x01ours", true,
                          &handle, spki, &len, err);
}

static void ours_and_others(void **state)
{
    (void)state;
    rig_serve();
    assert_int_equal(objects(0)->total, 0);
    rig_stop();
    rig_with_token(a_stranger);
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    const Keyd__V1__TokenObjectsReply *all = objects(0);
    assert_int_equal(all->total, 2);
    assert_int_equal(all->n_objects, 2);
    assert_int_equal(all->next, 0);
    bool ours_first = *all->objects[0]->key;
    const Keyd__V1__TokenObject *ours = all->objects[!ours_first];
    const Keyd__V1__TokenObject *other = all->objects[ours_first];
    assert_string_equal(ours->key, "acme/www");
    assert_string_equal(ours->cls, "CKO_PRIVATE_KEY");
    assert_string_equal(ours->label, "keyd/acme/www");
    assert_int_equal(ours->cka_id.len, 18);
    assert_string_equal(attribute(ours, "CKA_SENSITIVE"), "true");
    assert_string_equal(attribute(ours, "CKA_EXTRACTABLE"), "false");
    assert_string_equal(attribute(ours, "CKA_VALUE"), "(sensitive)");
    assert_string_equal(other->key, "");
    assert_string_equal(other->label, "not\\x01ours");
    assert_memory_equal(other->cka_id.data, "alien", 5);
    assert_int_equal(objects(1)->n_objects, 1);
    assert_int_equal(objects(2)->n_objects, 0);
    assert_int_equal(objects(4000000000u)->n_objects, 0);
    rig_stop();
}

static bool many(struct token *t, struct registry *r, struct err *err)
{
    (void)r;
    for (unsigned i = 0; i < 160; i++) {
        uint8_t spki[SPKI_MAX_LEN];
        size_t len = sizeof(spki);
        token_handle handle;
        TRY(token_generate(t, KEY_TYPE_EC_P256, (const uint8_t *)&i, sizeof(i), "x", true, &handle,
                           spki, &len, err));
    }
    return true;
}

static void pages(void **state)
{
    (void)state;
    rig_with_token(many);
    rig_serve();
    const Keyd__V1__TokenObjectsReply *page = objects(0);
    assert_int_equal(page->total, 160);
    assert_int_equal(page->n_objects, 150);
    assert_int_equal(page->next, 150);
    page = objects(150);
    assert_int_equal(page->n_objects, 10);
    assert_int_equal(page->next, 0);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(ours_and_others),
        RIG_TEST(pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

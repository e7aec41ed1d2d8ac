/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs share that bring a key into being: the intent, whose id is the CKA_ID of the
 * object that is to be; and the end of one that did not work.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "keyd/custodian/internal.h"

#define CKA_ID_FORMAT 0x01 /* of our CKA_IDs: this byte, the purposes, the intent's id */

bool purposes_known(uint32_t purposes, struct err *err)
{
    char names[128];

    if (purposes & PURPOSE_RAW && purposes != PURPOSE_RAW) {
        err_set(err, ERR_BAD_REQUEST, "a key with the purpose raw can have no other");
        return err_hint(err, "raw signs anything, so it would sign the other shapes too: make two "
                             "keys");
    }
    if ((purposes & ~(uint32_t)PURPOSES_ALL) == 0)
        return true;
    err_set(err, ERR_BAD_REQUEST, "unknown purposes 0x%x", purposes & ~(uint32_t)PURPOSES_ALL);
    return err_hint(err, "known are %s", purposes_text(PURPOSES_ALL, names, sizeof(names)));
}

static bool copy_name(const char *name, const char *what, char ret[NAME_MAX_LEN + 1],
                      struct err *err)
{
    TRY(name_check(name, what, err));
    memcpy(ret, name, strlen(name) + 1);
    return true;
}

bool intent_name(struct registry_intent *i, const char *tenant, const char *name, struct err *err)
{
    TRY(copy_name(tenant, "tenant", i->tenant, err));
    return copy_name(name, "key", i->name, err);
}

bool intent_seal(struct registry_intent *i, struct err *err)
{
    if (getrandom(i->id, sizeof(i->id), 0) != (ssize_t)sizeof(i->id))
        return err_set(err, ERR_INTERNAL, "the kernel gives no random bytes");
    i->cka_id[0] = CKA_ID_FORMAT;
    i->cka_id[1] = (uint8_t)i->purposes;
    memcpy(i->cka_id + 2, i->id, sizeof(i->id));
    i->cka_id_len = 2 + sizeof(i->id);
    return true;
}

bool intent_id_is_ours(const uint8_t *cka_id, size_t len)
{
    return len == 2 + INTENT_ID_LEN && cka_id[0] == CKA_ID_FORMAT &&
           (cka_id[1] & ~(unsigned)PURPOSES_ALL) == 0;
}

void intent_label(const struct registry_intent *i, char label[TOKEN_LABEL_MAX])
{
    snprintf(label, TOKEN_LABEL_MAX, "keyd/%s/%s", i->tenant, i->name);
}

void intent_key(const struct registry_intent *i, struct registry_key *ret)
{
    *ret = (struct registry_key){.type = i->type,
                                 .purposes = i->purposes,
                                 .state = REGISTRY_KEY_ENABLED,
                                 .cka_id_len = i->cka_id_len,
                                 .spki_len = sizeof(ret->spki)};
    memcpy(ret->tenant, i->tenant, sizeof(ret->tenant));
    memcpy(ret->name, i->name, sizeof(ret->name));
    memcpy(ret->cka_id, i->cka_id, sizeof(ret->cka_id));
    memcpy(ret->allowed_names, i->allowed_names, sizeof(ret->allowed_names));
}

void intent_undo(struct custodian *c, const struct registry_intent *i)
{
    struct err why;

    /* what does not work now is tried again before the next one is made, and at our next start */
    if (!reconcile_intents(c, &why))
        custodian_note(c, "what %s left unfinished could not be removed: %s", i->verb, why.text);
}

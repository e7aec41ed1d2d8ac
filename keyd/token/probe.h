/* SPDX-License-Identifier: Apache-2.0
 *
 * probe: what this token can do and, as important, what it refuses. Run once at each start of the
 * custodian, on session objects only; facts about the token, never about its name.
 */
#ifndef KEYD_TOKEN_PROBE_H
#define KEYD_TOKEN_PROBE_H

#include "keyd/token/token.h"

#define PROBE_NOTES 8

struct token_abilities {
    bool can_generate[KEY_TYPE_COUNT];
    bool session_copies;      /* C_CopyObject to a session object works and signs */
    bool copies_unmodifiable; /* also for a key with CKA_MODIFIABLE false */
    bool honours_mechanisms;  /* CKA_ALLOWED_MECHANISMS is enforced at C_SignInit */
    bool ec_point_raw;        /* CKA_EC_POINT comes without its OCTET STRING */
    char notes[PROBE_NOTES][160];
    size_t note_count;
};

/* Probes. Fails (ERR_TOKEN, keyd must not serve) when a sensitive key's value can be read or
 * wrapped out, or CKA_EXTRACTABLE can be set back, or a signature does not verify. A token that
 * only lacks an ability passes, with a note. */
bool token_probe(struct token *t, struct token_abilities *ret, struct err *err) MUST_USE;

#endif

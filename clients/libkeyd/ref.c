/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clients/libkeyd/call.h"
#include "proto/base/mem.h"
#include "proto/keyref.h"

_Static_assert(KEYD_KEY_ID_LEN == KEY_ID_LEN && KEYD_SPKI_MAX == SPKI_MAX_LEN, "as in proto");

int keyd_ref_decode(const uint8_t *der, size_t len, uint8_t ret_id[KEYD_KEY_ID_LEN],
                    const uint8_t **ret_spki, size_t *ret_spki_len, struct keyd_error *error)
{
    struct keyref ref;
    struct err err = {0};

    if (!keyref_decode(der, len, &ref, &err))
        return call_result(false, &err, error);
    memcpy(ret_id, ref.id, KEYD_KEY_ID_LEN);
    *ret_spki = ref.spki;
    *ret_spki_len = ref.spki_len;
    return KEYD_OK;
}

static bool ref_encode(const uint8_t *spki, size_t spki_len, char **ret_pem, struct err *err)
{
    char *pem AUTO_FREE = mem_new(KEYREF_PEM_MAX);

    if (!pem)
        return err_set(err, ERR_INTERNAL, "no memory for a key reference");
    TRY(keyref_to_pem(spki, spki_len, pem, err));
    *ret_pem = TAKE(pem);
    return true;
}

int keyd_ref_encode(const uint8_t *spki, size_t spki_len, char **ret_pem, struct keyd_error *error)
{
    struct err err = {0};

    return call_result(ref_encode(spki, spki_len, ret_pem, &err), &err, error);
}

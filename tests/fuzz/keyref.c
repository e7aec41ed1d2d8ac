/* SPDX-License-Identifier: Apache-2.0
 *
 * keyref_decode and keyref_from_pem: key references, which frontends load from files. What is taken
 * is written in the one way in which keyref_encode writes it.
 */
#include "proto/keyref.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static void check_ref(const struct keyref *ref, const uint8_t *der, size_t len)
{
    uint8_t again[KEYREF_DER_MAX], id[KEY_ID_LEN];
    size_t again_len;
    struct err err;

    FUZZ_ASSERT(ref->spki >= der && ref->spki + ref->spki_len <= der + len);
    FUZZ_ASSERT(key_id_of(ref->spki, ref->spki_len, id));
    FUZZ_ASSERT(memcmp(id, ref->id, KEY_ID_LEN) == 0);
    FUZZ_ASSERT(keyref_encode(ref->spki, ref->spki_len, again, &again_len, &err));
    FUZZ_ASSERT(again_len == len && memcmp(again, der, len) == 0);
}

static void check_text(const struct keyref *ref)
{
    uint8_t der[KEYREF_DER_MAX];
    char pem[KEYREF_PEM_MAX];
    struct keyref again;
    struct err err;

    FUZZ_ASSERT(keyref_to_pem(ref->spki, ref->spki_len, pem, &err));
    FUZZ_ASSERT(keyref_from_pem(pem, strlen(pem), der, &again, &err));
    FUZZ_ASSERT(memcmp(again.id, ref->id, KEY_ID_LEN) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    uint8_t der[KEYREF_DER_MAX];
    struct keyref ref;
    struct err err = {0};

    if (keyref_decode(input, n, &ref, &err)) {
        check_ref(&ref, input, n);
        check_text(&ref);
    } else {
        FUZZ_ASSERT(err.code == ERR_BAD_REQUEST || err.code == ERR_UNSUPPORTED);
    }
    err = (struct err){0};
    if (keyref_from_pem((const char *)input, n, der, &ref, &err))
        check_text(&ref);
    else
        FUZZ_ASSERT(err.code == ERR_BAD_REQUEST || err.code == ERR_UNSUPPORTED);
    return 0;
}

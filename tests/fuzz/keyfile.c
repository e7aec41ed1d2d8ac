/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfile_parse: the reader of private keys. What it takes is a key that it takes again, in the one
 * form that it writes; what it refuses has a sentence and is nobody's defect.
 */
#include "clients/keydctl/keyfile/keyfile.h"

#include <openssl/evp.h>
#include <string.h>

#include "clients/libkeyd/keyd.h"
#include "tests/fuzz/fuzz.h"

#define PASSWORD "correct horse" /* of what is encrypted in the corpus */
#define ROUNDS   64

static bool ask(void *arg, const char *file, unsigned attempt, struct secret *ret, struct err *err)
{
    (void)arg, (void)file, (void)attempt;
    if (!secret_new(ret, sizeof(PASSWORD), err))
        return false;
    ret->len = strlen(PASSWORD);
    memcpy(ret->bytes, PASSWORD, ret->len);
    return true;
}

static void check_key(const struct keyfile *k)
{
    uint8_t id[KEYFILE_ID_LEN];
    struct keyfile again;
    struct err err;

    FUZZ_ASSERT(k->type >= KEYD_KEY_RSA_2048 && k->type <= KEYD_KEY_ED25519);
    FUZZ_ASSERT(k->words && k->form && k->spki);
    FUZZ_ASSERT(k->pkcs8.len > 0 && k->pkcs8.len <= KEYD_PKCS8_MAX);
    FUZZ_ASSERT(EVP_Digest(k->spki, k->spki_len, id, NULL, EVP_sha256(), NULL) == 1);
    FUZZ_ASSERT(memcmp(id, k->id, sizeof(id)) == 0);
    FUZZ_ASSERT(keyfile_parse(k->pkcs8.bytes, k->pkcs8.len, "again", NULL, &again, &err));
    FUZZ_ASSERT(again.pkcs8.len == k->pkcs8.len &&
                memcmp(again.pkcs8.bytes, k->pkcs8.bytes, k->pkcs8.len) == 0);
    FUZZ_ASSERT(memcmp(again.id, k->id, sizeof(id)) == 0 && again.type == k->type);
    keyfile_free(&again);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err err;

    (void)argc, (void)argv;
    FUZZ_ASSERT(keyfile_begin(&err));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct keyfile_pass pass = {.ask = ask, .attempts = 1, .max_rounds = ROUNDS};
    struct keyfile k = {.type = -1};
    struct err err = {0};

    if (keyfile_parse(input, n, "input", &pass, &k, &err)) {
        check_key(&k);
        keyfile_free(&k);
        return 0;
    }
    FUZZ_ASSERT(k.type == -1);
    FUZZ_ASSERT(err.code == ERR_BAD_REQUEST || err.code == ERR_UNSUPPORTED ||
                err.code == ERR_DENIED);
    FUZZ_ASSERT(err.text[0]);
    return 0;
}

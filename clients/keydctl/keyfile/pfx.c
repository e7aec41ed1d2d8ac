/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/pfx.h"

#include <openssl/objects.h>

#include "clients/keydctl/keyfile/crypt.h"
#include "proto/base/mem.h"

#define SAFES_MAX 16 /* each may cost a key derivation */

typedef STACK_OF(PKCS12_SAFEBAG) bags;
typedef STACK_OF(PKCS7) safes;

struct walk {
    const struct secret *pass;
    uint64_t max_rounds;
    struct secret found; /* the first key */
    unsigned keys;
    bool sealed;  /* a MAC has shown that the passphrase is right */
    bool skipped; /* something that could not be decrypted */
    struct err why;
};

static void cleanup_bags(bags **p)
{
    sk_PKCS12_SAFEBAG_pop_free(*p, PKCS12_SAFEBAG_free);
}

static void cleanup_safes(safes **p)
{
    sk_PKCS7_pop_free(*p, PKCS7_free);
}

static void cleanup_openssl(uint8_t **p)
{
    OPENSSL_free(*p);
}

static bool damaged(struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "the PKCS#12 file is damaged");
}

PKCS12 *pfx_read(const uint8_t *p, size_t n)
{
    const uint8_t *at = p;
    PKCS12 *pfx = d2i_PKCS12(NULL, &at, (long)n);

    if (pfx && at == p + n)
        return pfx;
    PKCS12_free(pfx);
    return NULL;
}

/* ---- the passphrase */

bool pfx_verify(PKCS12 *pfx, const struct secret *pass, uint64_t max_rounds, struct err *err)
{
    const ASN1_INTEGER *iterations = NULL;
    const X509_ALGOR *algorithm = NULL;
    const char *text = (const char *)pass->bytes;
    uint64_t rounds = 1;

    if (!PKCS12_mac_present(pfx))
        return true;
    PKCS12_get0_mac(NULL, &algorithm, NULL, &iterations, pfx);
    if (iterations && (ASN1_INTEGER_get_uint64(&rounds, iterations) != 1 || rounds == 0))
        return damaged(err);
    TRY(crypt_check_rounds(rounds, max_rounds, err));
    if (!EVP_get_digestbyobj(algorithm->algorithm)) {
        err_set(err, ERR_UNSUPPORTED, "the PKCS#12 file is sealed with an unknown algorithm");
        return err_hint(err, "make it anew: openssl pkcs12 -export -macalg sha256 ...");
    }
    /* No passphrase may mean an empty one, or none at all (RFC 7292 B.1 leaves it open). */
    if (PKCS12_verify_mac(pfx, text, (int)pass->len) == 1 ||
        (pass->len == 0 && PKCS12_verify_mac(pfx, NULL, 0) == 1))
        return true;
    return crypt_wrong(err);
}

/* ---- the key */

static bool take_plain(struct walk *w, const PKCS12_SAFEBAG *bag, struct err *err)
{
    const PKCS8_PRIV_KEY_INFO *info = PKCS12_SAFEBAG_get0_p8inf(bag);
    int n = i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
    struct secret s = {0};

    if (n <= 0)
        return damaged(err);
    TRY(secret_new(&s, (size_t)n, err));
    uint8_t *at = s.bytes;
    i2d_PKCS8_PRIV_KEY_INFO(info, &at);
    s.len = (size_t)n;
    w->found = s;
    return true;
}

static bool take_shrouded(struct walk *w, const PKCS12_SAFEBAG *bag, struct err *err)
{
    CLEANUP(cleanup_openssl) uint8_t *der = NULL;
    int n = i2d_X509_SIG(PKCS12_SAFEBAG_get0_pkcs8(bag), &der);

    if (n <= 0)
        return damaged(err);
    struct rd r = rd_of(der, (size_t)n);
    return crypt_pkcs8(&r, w->pass, w->max_rounds, &w->found, err);
}

static bool walk_bags(struct walk *w, const bags *all, struct err *err)
{
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(all); i++) {
        const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(all, i);
        int nid = PKCS12_SAFEBAG_get_nid(bag);
        bool key = nid == NID_keyBag || nid == NID_pkcs8ShroudedKeyBag;

        if (!key || w->keys++ > 0)
            continue;
        if (nid == NID_keyBag)
            TRY(take_plain(w, bag, err));
        else
            TRY(take_shrouded(w, bag, err));
    }
    return true;
}

/* Whether the cipher of an encrypted safe is one that can be undone. */
static bool check_safe(const PKCS7 *safe, uint64_t max_rounds, struct err *err)
{
    CLEANUP(cleanup_openssl) uint8_t *der = NULL;
    const PKCS7_ENCRYPT *encrypted = safe->d.encrypted;
    int n =
        encrypted && encrypted->enc_data ? i2d_X509_ALGOR(encrypted->enc_data->algorithm, &der) : 0;

    if (n <= 0)
        return damaged(err);
    struct rd r = rd_of(der, (size_t)n);
    return crypt_check(&r, max_rounds, err);
}

static bool walk_safe(struct walk *w, PKCS7 *safe, struct err *err)
{
    CLEANUP(cleanup_bags) bags *all = NULL;
    const char *text = (const char *)w->pass->bytes;

    if (PKCS7_type_is_data(safe)) {
        all = PKCS12_unpack_p7data(safe);
        if (!all)
            return damaged(err);
    } else if (PKCS7_type_is_encrypted(safe) && check_safe(safe, w->max_rounds, &w->why)) {
        all = PKCS12_unpack_p7encdata(safe, text, (int)w->pass->len);
    }
    if (!all) /* RC2-40 around certificates, as a rule */
        w->skipped = true;
    return !all || walk_bags(w, all, err);
}

static bool one_key(const struct walk *w, struct err *err)
{
    if (w->keys == 1)
        return true;
    if (w->keys > 1) {
        err_set(err, ERR_BAD_REQUEST, "the PKCS#12 file holds %u private keys", w->keys);
        return err_hint(err, "take them apart: openssl pkcs12 -in FILE -nocerts -out KEYS");
    }
    if (!w->skipped) {
        err_set(err, ERR_BAD_REQUEST, "the PKCS#12 file holds certificates, but no private key");
        return err_hint(err, "export it again, together with the private key");
    }
    if (w->why.code == ERR_UNSUPPORTED) {
        *err = w->why;
        return false;
    }
    err_set(err, ERR_UNSUPPORTED,
            "the PKCS#12 file shows no private key: a part of it is encrypted "
            "in a way that is too old, or with another passphrase");
    return err_hint(err, "make it anew: openssl pkcs12 -legacy -in FILE -noenc | openssl pkcs12 "
                         "-export -out NEW");
}

bool pfx_key(PKCS12 *pfx, const struct secret *pass, uint64_t max_rounds, struct secret *ret,
             struct err *err)
{
    CLEANUP(cleanup_safes) safes *all = PKCS12_unpack_authsafes(pfx);
    struct walk w = {.pass = pass, .max_rounds = max_rounds, .sealed = PKCS12_mac_present(pfx)};
    bool ok = true;

    if (!all || sk_PKCS7_num(all) > SAFES_MAX)
        return damaged(err);
    for (int i = 0; ok && i < sk_PKCS7_num(all); i++)
        ok = walk_safe(&w, sk_PKCS7_value(all, i), err);
    if (!ok || !one_key(&w, err)) {
        secret_free(&w.found);
        return false;
    }
    *ret = w.found;
    return true;
}

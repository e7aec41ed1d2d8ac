/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a key: bytes of a file, a block of PEM, the DER in it, decrypted DER, its parts read
 * and judged, PKCS#8 written anew, and only then libcrypto, which computes the public key and
 * checks that the parts belong together. Each step's copy is a struct secret that dies with the
 * step.
 */
#include "clients/keydctl/keyfile/keyfile.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "clients/keydctl/keyfile/crypt.h"
#include "clients/keydctl/keyfile/other.h"
#include "clients/keydctl/keyfile/parts.h"
#include "clients/keydctl/keyfile/pem.h"
#include "clients/keydctl/keyfile/pfx.h"
#include "clients/keydctl/keyfile/source.h"
#include "proto/base/mem.h"
#include "proto/x509/quality.h"
#include "proto/x509/quote.h"

#define WANTED    "private key"
#define PROVIDER  "provider=default"
#define POINT_MAX 133 /* bytes of a public key on a curve, uncompressed */

struct asked { /* a passphrase that is asked for when the first thing needs it */
    const struct keyfile_pass *pass;
    const char *name;
    uint64_t max_rounds;
    bool failed; /* there was none to be had: the error is not about the file */
};

static void cleanup_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void cleanup_pkey_ctx(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

static void cleanup_pfx(PKCS12 **p)
{
    PKCS12_free(*p);
}

/* ---- from parts to the result */

static EVP_PKEY *load(const struct secret *pkcs8)
{
    const uint8_t *at = pkcs8->bytes;

    return d2i_AutoPrivateKey_ex(NULL, &at, (long)pkcs8->len, NULL, PROVIDER);
}

static bool does_not_fit(struct err *err)
{
    err_set(err, ERR_BAD_REQUEST, "the parts of the private key do not belong together");
    return err_hint(err, "the file is damaged, or was put together from two keys");
}

/* The public point of a key on a curve; *ret_len 0 for RSA. */
static bool point_of(EVP_PKEY *key, const struct parts *parts, uint8_t point[POINT_MAX],
                     size_t *ret_len)
{
    *ret_len = POINT_MAX;
    if (parts->kind == PARTS_ED25519)
        return EVP_PKEY_get_raw_public_key(key, point, ret_len) == 1;
    if (parts->kind == PARTS_EC)
        return EVP_PKEY_get_octet_string_param(key, "pub", point, POINT_MAX, ret_len) == 1 &&
               point[0] == 4;
    *ret_len = 0;
    return true;
}

/* Loads the key and checks it: RSA's numbers against each other, a scalar against its range. */
static bool prove(const struct secret *pkcs8, EVP_PKEY **ret, struct err *err)
{
    CLEANUP(cleanup_pkey) EVP_PKEY *key = load(pkcs8);
    CLEANUP(cleanup_pkey_ctx)
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, PROVIDER) : NULL;

    if (!ctx || EVP_PKEY_check(ctx) != 1)
        return does_not_fit(err);
    *ret = TAKE(key);
    return true;
}

static bool take_spki(EVP_PKEY *key, struct keyfile *k, struct err *err)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, k->id, NULL, EVP_sha256(), NULL) == 1;

    k->spki = ok ? mem_dup(der, (size_t)n) : NULL;
    k->spki_len = ok ? (size_t)n : 0;
    OPENSSL_free(der);
    return k->spki || err_set(err, ERR_INTERNAL, "libcrypto cannot write the public key");
}

/* The PKCS#8 without a public point tells the point; the one that is kept has it. */
static bool build(const struct parts *parts, struct keyfile *k, struct err *err)
{
    CLEANUP(cleanup_pkey) EVP_PKEY *key = NULL;
    uint8_t point[POINT_MAX];
    const char *type;
    size_t point_len;

    k->type = parts_type(parts, &k->words);
    TRY(parts_write(parts, NULL, 0, &k->pkcs8, err));
    TRY(prove(&k->pkcs8, &key, err));
    if (!point_of(key, parts, point, &point_len) || !parts_point_fits(parts, point, point_len))
        return does_not_fit(err);
    if (parts->kind == PARTS_EC) {
        secret_free(&k->pkcs8);
        TRY(parts_write(parts, point, point_len, &k->pkcs8, err));
    }
    TRY(take_spki(key, k, err));
    return quality_judge(k->spki, k->spki_len, &type, err); /* as the custodian will */
}

/* ---- DER */

static bool from_plain(const struct rd *der, const char *const forms[4], struct keyfile *k,
                       struct err *err)
{
    enum parts_form form = parts_form(der);
    struct parts parts;

    if (form == PARTS_UNKNOWN)
        return other_der(der, WANTED, err);
    k->form = forms[form];
    TRY(parts_read(der, form, &parts, err));
    TRY(parts_judge(&parts, err));
    return build(&parts, k, err);
}

/* What a passphrase opened: when it is no key at all, the passphrase was a wrong one whose padding
 * came out right by chance. */
static bool from_opened(const struct secret *opened, const char *const forms[4], struct keyfile *k,
                        struct err *err)
{
    struct rd der = rd_of(opened->bytes, opened->len);

    if (parts_form(&der) == PARTS_UNKNOWN || asn1_claims(&der) != opened->len)
        return crypt_wrong(err);
    return from_plain(&der, forms, k, err);
}

/* ---- with a passphrase */

/* Something that a passphrase opens: gives the DER of the key. */
typedef bool opener(void *arg, const struct secret *pass, uint64_t max_rounds, struct secret *ret,
                    struct err *err);

static bool none_given(struct err *err)
{
    err_set(err, ERR_DENIED, "the private key is encrypted, and no passphrase was given");
    return err_hint(err, "--passphrase-file FILE, or run it at a terminal");
}

static bool try_pass(struct asked *a, opener *open, void *arg, const struct secret *pass,
                     const char *const forms[4], struct keyfile *k, struct err *err)
{
    struct secret opened = {0};

    TRY(open(arg, pass, a->max_rounds, &opened, err));
    bool ok = from_opened(&opened, forms, k, err);
    secret_free(&opened);
    return ok;
}

static bool ask(struct asked *a, opener *open, void *arg, const char *const forms[4],
                struct keyfile *k, struct err *err)
{
    unsigned attempts = a->pass ? a->pass->attempts : 0;
    struct secret pass = {0};
    bool ok = false;

    if (attempts == 0)
        return none_given(err);
    for (unsigned i = 1; !ok && i <= attempts && (i == 1 || err->code == ERR_DENIED); i++) {
        a->failed = !a->pass->ask(a->pass->arg, a->name, i, &pass, err);
        if (a->failed)
            return false;
        ok = try_pass(a, open, arg, &pass, forms, k, err);
        if (!ok && pass.len && pass.bytes[pass.len - 1] == '\r')
            err_hint(err,
                     "the passphrase ends in a carriage return: was its file made on Windows?");
        secret_free(&pass);
    }
    return ok;
}

static bool open_pkcs8(void *arg, const struct secret *pass, uint64_t max_rounds,
                       struct secret *ret, struct err *err)
{
    return crypt_pkcs8(arg, pass, max_rounds, ret, err);
}

static bool open_pfx(void *arg, const struct secret *pass, uint64_t max_rounds, struct secret *ret,
                     struct err *err)
{
    return pfx_verify(arg, pass, max_rounds, err) && pfx_key(arg, pass, max_rounds, ret, err);
}

struct old_pem {
    const struct pem_block *block;
    const struct secret *body;
};

static bool open_old_pem(void *arg, const struct secret *pass, uint64_t max_rounds,
                         struct secret *ret, struct err *err)
{
    const struct old_pem *old = arg;

    (void)max_rounds; /* it is always one */
    return crypt_pem(old->block, old->body, pass, ret, err);
}

/* ---- the forms; each array is indexed by enum parts_form */

static const char *const plain_forms[4] = {NULL, "PKCS#1", "SEC1", "PKCS#8"};
static const char *const encrypted_forms[4] = {NULL, "encrypted PKCS#1", "encrypted SEC1",
                                               "encrypted PKCS#8"};
static const char *const pfx_forms[4] = {NULL, "PKCS#12", "PKCS#12", "PKCS#12"};

/* Without asking, if it opens without. */
static bool from_pfx(struct asked *a, PKCS12 *pfx, struct keyfile *k, struct err *err)
{
    struct secret empty = {.bytes = (uint8_t *)(uintptr_t) ""};
    struct err why;

    if (try_pass(a, open_pfx, pfx, &empty, pfx_forms, k, &why))
        return true;
    if (why.code != ERR_DENIED) {
        *err = why;
        return false;
    }
    return ask(a, open_pfx, pfx, pfx_forms, k, err);
}

static bool from_der(struct asked *a, const struct rd *der, struct keyfile *k, struct err *err)
{
    struct rd copy = *der;

    if (parts_form(der) != PARTS_UNKNOWN)
        return from_plain(der, plain_forms, k, err);
    if (crypt_is_pkcs8(der) && asn1_claims(der) == rd_left(der))
        return ask(a, open_pkcs8, &copy, encrypted_forms, k, err);
    CLEANUP(cleanup_pfx) PKCS12 *pfx = pfx_read(der->at, rd_left(der));
    return pfx ? from_pfx(a, pfx, k, err) : other_der(der, WANTED, err);
}

static bool from_block(struct asked *a, const struct pem_block *block, struct keyfile *k,
                       struct err *err)
{
    struct secret body = {0};
    bool ok;

    TRY(pem_decode(block->body, &body, err));
    struct rd der = rd_of(body.bytes, body.len);
    struct old_pem old = {.block = block, .body = &body};
    if (crypt_is_pem(block))
        ok = ask(a, open_old_pem, &old, encrypted_forms, k, err);
    else
        ok = from_der(a, &der, k, err);
    secret_free(&body);
    return ok;
}

/* The one block that is a private key. */
static bool find_block(struct rd text, struct pem_block *ret, struct err *err)
{
    struct pem_block block, first = {0};
    enum pem_found found;
    unsigned keys = 0;

    while ((found = pem_next(&text, &block, err)) == PEM_BLOCK) {
        bool key = other_is_key_label(block.label);

        if (key && keys++ == 0)
            *ret = block;
        if (!first.label[0])
            first = block;
    }
    if (found == PEM_BROKEN || keys == 1)
        return found != PEM_BROKEN;
    if (keys == 0)
        return other_pem(&first, WANTED, err);
    err_set(err, ERR_BAD_REQUEST, "it holds %u private keys", keys);
    return err_hint(err, "put each into a file of its own");
}

static bool from_bytes(struct asked *a, const uint8_t *p, size_t n, struct keyfile *k,
                       struct err *err)
{
    struct rd all = rd_of(p, n);
    struct pem_block block = {0};

    if (n && memmem(p, n, "-----BEGIN ", 11)) {
        TRY(find_block(all, &block, err));
        return from_block(a, &block, k, err);
    }
    if (n && *p == TAG_SEQUENCE)
        return from_der(a, &all, k, err);
    return other_bytes(&all, WANTED, err);
}

/* ---- entry points */

bool keyfile_parse(const uint8_t *p, size_t n, const char *name, const struct keyfile_pass *pass,
                   struct keyfile *ret, struct err *err)
{
    struct asked a = {.pass = pass, .name = name, .max_rounds = KEYFILE_MAX_ROUNDS};
    struct keyfile k = {0};
    char quoted[QUOTE_SIZE];

    if (pass && pass->max_rounds)
        a.max_rounds = pass->max_rounds;
    bool ok = from_bytes(&a, p, n, &k, err);
    ERR_clear_error();
    keyfile_scrub();
    if (!ok) {
        keyfile_free(&k);
        return a.failed ? false : err_prefix(err, "%s", quote(name, quoted));
    }
    *ret = k;
    return true;
}

bool keyfile_read(const char *path, const struct keyfile_pass *pass, struct keyfile *ret,
                  struct err *err)
{
    const char *name = strcmp(path, "-") == 0 ? "stdin" : path;
    struct secret file = {0};

    TRY(source_read(path, KEYFILE_MAX, &file, err));
    bool ok = keyfile_parse(file.bytes, file.len, name, pass, ret, err);
    secret_free(&file);
    return ok;
}

void keyfile_free(struct keyfile *key)
{
    secret_free(&key->pkcs8);
    mem_free(TAKE(key->spki));
    *key = (struct keyfile){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keyfile/keyfile.h"
#include "clients/keydctl/keyfile/other.h"
#include "clients/keydctl/keyfile/parts.h"
#include "clients/keydctl/keyfile/pem.h"
#include "clients/keydctl/keyfile/source.h"
#include "proto/base/mem.h"
#include "proto/x509/quote.h"

#define WANTED   "certificate"
#define HINT     "--cert takes the certificate that belongs to the key, in PEM or DER"
#define HEX_SIZE (2 * KEYFILE_ID_LEN + 1)

static void cleanup_x509(X509 **p)
{
    X509_free(*p);
}

static void cleanup_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static const char *hex(const uint8_t id[KEYFILE_ID_LEN], char buf[HEX_SIZE])
{
    for (size_t i = 0; i < KEYFILE_ID_LEN; i++)
        snprintf(buf + 2 * i, 3, "%02x", id[i]);
    return buf;
}

/* ---- reading */

static bool read_der(const uint8_t *p, size_t n, bool trusted, X509 **ret, struct err *err)
{
    const uint8_t *at = p;
    X509 *x = trusted ? d2i_X509_AUX(NULL, &at, (long)n) : d2i_X509(NULL, &at, (long)n);

    if (x && at == p + n) {
        *ret = x;
        return true;
    }
    X509_free(x);
    return err_set(err, ERR_BAD_REQUEST, "the certificate is damaged");
}

static bool read_block(const struct pem_block *block, bool trusted, X509 **ret, struct err *err)
{
    struct secret der = {0};

    TRY(pem_decode(block->body, &der, err));
    bool ok = read_der(der.bytes, der.len, trusted, ret, err);
    secret_free(&der);
    return ok;
}

/* The first certificate of a text: a server's own one stands first (RFC 8446 4.4.2). */
static bool read_pem(struct rd text, X509 **ret, struct err *err)
{
    struct pem_block block, first = {0};
    enum pem_found found;

    while ((found = pem_next(&text, &block, err)) == PEM_BLOCK) {
        if (strcmp(block.label, "CERTIFICATE") == 0 || strcmp(block.label, "X509 CERTIFICATE") == 0)
            return read_block(&block, false, ret, err);
        if (strcmp(block.label, "TRUSTED CERTIFICATE") == 0)
            return read_block(&block, true, ret, err);
        if (!first.label[0])
            first = block;
    }
    if (found == PEM_BROKEN)
        return false;
    if (other_is_key_label(first.label))
        err_set(err, ERR_BAD_REQUEST, "this is a private key, and no " WANTED);
    else
        other_pem(&first, WANTED, err);
    return err_hint(err, HINT);
}

static bool read_cert(const uint8_t *p, size_t n, X509 **ret, struct err *err)
{
    struct rd all = rd_of(p, n);

    if (n && memmem(p, n, "-----BEGIN ", 11))
        return read_pem(all, ret, err);
    if (parts_form(&all) != PARTS_UNKNOWN) {
        err_set(err, ERR_BAD_REQUEST, "this is a private key, and no " WANTED);
        return err_hint(err, HINT);
    }
    if (n && *p == 0x30 && read_der(p, n, false, ret, err))
        return true;
    if (n && *p == 0x30)
        other_der(&all, WANTED, err);
    else
        other_bytes(&all, WANTED, err);
    return err_hint(err, HINT);
}

/* ---- comparing */

static bool cert_id(X509 *x, uint8_t id[KEYFILE_ID_LEN])
{
    uint8_t *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, id, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return ok;
}

static bool compare(X509 *x, const struct keyfile *key, const char *key_name, struct err *err)
{
    const uint8_t *at = key->spki;
    CLEANUP(cleanup_pkey) EVP_PKEY *own = d2i_PUBKEY(NULL, &at, (long)key->spki_len);
    char cert_hex[HEX_SIZE], key_hex[HEX_SIZE], name[QUOTE_SIZE];
    const EVP_PKEY *theirs = X509_get0_pubkey(x);
    uint8_t id[KEYFILE_ID_LEN];

    if (!own || !cert_id(x, id))
        return err_set(err, ERR_INTERNAL, "libcrypto cannot compare the public keys");
    if (theirs && EVP_PKEY_eq(own, theirs) == 1)
        return true;
    err_set(err, ERR_CONFLICT,
            "the certificate is for another key: SHA-256 of its public key is %s, "
            "of that in %s %s",
            hex(id, cert_hex), quote(key_name, name), hex(key->id, key_hex));
    return err_hint(err, "find the key that the certificate was made for, or leave out --cert");
}

bool keyfile_check_cert_bytes(const uint8_t *p, size_t n, const char *name,
                              const struct keyfile *key, const char *key_name, struct err *err)
{
    CLEANUP(cleanup_x509) X509 *x = NULL;
    char quoted[QUOTE_SIZE];

    if (read_cert(p, n, &x, err) && compare(x, key, key_name, err))
        return true;
    return err_prefix(err, "%s", quote(name, quoted));
}

bool keyfile_check_cert(const char *path, const struct keyfile *key, const char *key_name,
                        struct err *err)
{
    struct secret file = {0};

    TRY(source_read(path, KEYFILE_MAX, &file, err));
    bool ok = keyfile_check_cert_bytes(file.bytes, file.len,
                                       strcmp(path, "-") == 0 ? "stdin" : path, key, key_name, err);
    secret_free(&file);
    return ok;
}

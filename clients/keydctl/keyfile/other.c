/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/other.h"

#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <string.h>
#include <strings.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "proto/base/mem.h"

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define SUBJECT_MAX 100

struct kind {
    const char *sign; /* a label, or how the file begins */
    size_t sign_len;  /* 0: a string */
    const char *what;
    const char *hint;
};

#define CERTIFICATE                                                                                \
    "a certificate", "its private key is in another file, often NAME.key; this one goes with "     \
                     "--cert"
#define REQUEST                                                                                    \
    "a certificate signing request",                                                               \
        "its private key was written elsewhere when it was made (openssl req -keyout)"
#define PUBLIC                                                                                     \
    "a public key", "keyd needs the private key that belongs to it; it is in another file"
#define PARAMETERS                                                                                 \
    "a set of parameters, without a private key", "make a key in keyd: keydctl keys-generate"
#define OPENPGP "an OpenPGP file", "TLS cannot use it; keyd takes PEM, DER and PKCS#12"
#define JAVA                                                                                       \
    "a Java key store", "convert it: keytool -importkeystore -srckeystore FILE "                   \
                        "-destkeystore NEW.p12 -deststoretype PKCS12"
#define SSH        "an SSH private key", "if it is to be for TLS: ssh-keygen -p -m PKCS8 -f COPY"
#define SSH_PUBLIC "an SSH public key", "keyd needs a private key, in PEM, DER or PKCS#12"
#define PUTTY                                                                                      \
    "a PuTTY private key",                                                                         \
        "if it is to be for TLS: puttygen FILE -O private-openssh -o NEW, then "                   \
        "ssh-keygen -p -m PKCS8 -f NEW"
#define UTF16 "text in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
#define HTML  "a web page (HTML)", "a download went wrong: fetch the file again"

static const struct kind labels[] = {
    {"CERTIFICATE", 0, CERTIFICATE},
    {"X509 CERTIFICATE", 0, CERTIFICATE},
    {"TRUSTED CERTIFICATE", 0, CERTIFICATE},
    {"CERTIFICATE REQUEST", 0, REQUEST},
    {"NEW CERTIFICATE REQUEST", 0, REQUEST},
    {"PUBLIC KEY", 0, PUBLIC},
    {"RSA PUBLIC KEY", 0, PUBLIC},
    {"KEYD KEY REFERENCE", 0, "a key reference: its private key is in keyd already",
     "list the keys: keydctl keys-list"},
    {"X509 CRL", 0, "a certificate revocation list", "the private key is in another file"},
    {"PKCS7", 0, "a bundle of certificates (PKCS#7)", "the private key is in another file"},
    {"CMS", 0, "a signed or encrypted message (CMS)", "the private key is in another file"},
    {"OPENSSH PRIVATE KEY", 0, SSH},
    {"SSH2 ENCRYPTED PRIVATE KEY", 0, SSH},
    {"SSH2 PUBLIC KEY", 0, SSH_PUBLIC},
    {"EC PARAMETERS", 0, PARAMETERS},
    {"DH PARAMETERS", 0, PARAMETERS},
    {"X9.42 DH PARAMETERS", 0, PARAMETERS},
    {"DSA PARAMETERS", 0, PARAMETERS},
    {"PGP PRIVATE KEY BLOCK", 0, OPENPGP},
    {"PGP PUBLIC KEY BLOCK", 0, OPENPGP},
    {"PGP MESSAGE", 0, OPENPGP},
    {"TSS2 PRIVATE KEY", 0, "a key that only its TPM can use", "make one: keydctl keys-generate"},
    {"TSS2 KEY BLOB", 0, "a key that only its TPM can use", "make one: keydctl keys-generate"},
    {"PKCS#11 PROVIDER URI", 0, "the name of a key in a PKCS#11 token",
     "if keyd's token holds it: keydctl keys-adopt"},
};

static const struct kind beginnings[] = {
    {"PuTTY-User-Key-File-", 0, PUTTY},
    {"ssh-", 0, SSH_PUBLIC},
    {"ecdsa-sha2-", 0, SSH_PUBLIC},
    {"sk-ssh-", 0, SSH_PUBLIC},
    {"<!doctype html", 0, HTML},
    {"<html", 0, HTML},
    {"<", 0, "XML", "keyd takes PEM, DER and PKCS#12"},
    {"{", 0, "JSON (a JWK?)", "keyd takes PEM, DER and PKCS#12"},
    {"pkcs11:", 0, "the name of a key in a PKCS#11 token",
     "if keyd's token holds it: keydctl keys-adopt"},
    {"\xfe\xed\xfe\xed", 4, JAVA},
    {"\xce\xce\xce\xce", 4, JAVA},
    {"Salted__", 8, "a file encrypted by openssl enc", "decrypt it first: openssl enc -d ..."},
    {"PK\3\4", 4, "a ZIP archive", "unpack it first: unzip FILE"},
    {"\x1f\x8b", 2, "a file compressed by gzip", "unpack it first: gunzip FILE"},
    {"\xff\xfe", 2, UTF16},
    {"\xfe\xff", 2, UTF16},
    {"\x1e\xf1\xb5\xb0", 4, "a private key in Microsoft's PVK format",
     "convert it: openssl rsa -inform PVK -in FILE -out NEW"},
    {"\x07\x02\x00\x00", 4, "a private key in Microsoft's BLOB format",
     "convert it: openssl rsa -inform MSBLOB -in FILE -out NEW"},
    {"\x06\x02\x00\x00", 4, PUBLIC},
    {"\x7f"
     "ELF",
     4, "a program", "is the path right?"},
    {"%PDF", 0, "a PDF document", "is the path right?"},
    {"\x30\x80", 2, "BER of indefinite length", "rewrite it with the program that made it, as DER"},
};

static bool say(const char *what, const char *hint, const char *wanted, struct err *err)
{
    bool alike = strstr(what, wanted) != NULL; /* "an SSH private key" */

    err_set(err, ERR_BAD_REQUEST, "this is %s%s%s", what, alike ? "" : ", and no ",
            alike ? "" : wanted);
    return err_hint(err, "%s", hint);
}

/* ---- DER */

static void cleanup_bio(BIO **p)
{
    BIO_free(*p);
}

static void cleanup_x509(X509 **p)
{
    X509_free(*p);
}

/* A certificate says whose it is. */
static bool say_certificate(const X509 *x, const char *wanted, struct err *err)
{
    CLEANUP(cleanup_bio) BIO *out = BIO_new(BIO_s_mem());
    char subject[SUBJECT_MAX + 1] = "";
    int n = 0;

    if (out && X509_NAME_print_ex(out, X509_get_subject_name(x), 0,
                                  XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(out, subject, SUBJECT_MAX);
    subject[n > 0 ? n : 0] = 0;
    say(CERTIFICATE, wanted, err);
    if (n > 0)
        err_set(err, ERR_BAD_REQUEST, "this is a certificate (%s), and no %s", subject, wanted);
    return err_hint(err, "its private key is in another file, often NAME.key; this one goes with "
                         "--cert");
}

/* Whether libcrypto takes all n bytes for a value of a type; it is freed again. */
#define IS_WHOLE(d2i, free_it, p, n)                                                               \
    __extension__({                                                                                \
        const uint8_t *at_ = (p);                                                                  \
        __typeof__(d2i(NULL, &at_, 0)) value_ = d2i(NULL, &at_, (long)(n));                        \
        bool whole_ = value_ && at_ == (p) + (n);                                                  \
        free_it(value_);                                                                           \
        whole_;                                                                                    \
    })

static bool say_broken(const struct rd *der, const char *wanted, struct err *err)
{
    size_t have = rd_left(der), claims = asn1_claims(der);

    if (asn1_peek(der) != TAG_SEQUENCE) {
        err_set(err, ERR_BAD_REQUEST, "what stands between its BEGIN and END lines is no %s",
                wanted);
        return err_hint(err, "copy the file again, from -----BEGIN to the end");
    }
    if (claims > have) {
        err_set(err, ERR_BAD_REQUEST, "the file breaks off: %zu bytes of %zu are there", have,
                claims);
        return err_hint(err, "copy the file again");
    }
    if (claims && claims < have) {
        err_set(err, ERR_BAD_REQUEST, "%zu bytes follow the %zu of the first DER value",
                have - claims, claims);
        return err_hint(err, "was it copied as text? copy it again, in binary");
    }
    err_set(err, ERR_BAD_REQUEST, "this is DER, but no %s that keydctl knows, or a damaged one",
            wanted);
    return err_hint(err, "keyd takes PKCS#1, SEC1, PKCS#8 and PKCS#12");
}

bool other_der(const struct rd *der, const char *wanted, struct err *err)
{
    const uint8_t *p = der->at, *at = p;
    size_t n = rd_left(der);
    CLEANUP(cleanup_x509) X509 *x = d2i_X509(NULL, &at, (long)n);

    if (x && at == p + n)
        return say_certificate(x, wanted, err);
    if (IS_WHOLE(d2i_X509_REQ, X509_REQ_free, p, n))
        return say(REQUEST, wanted, err);
    if (IS_WHOLE(d2i_X509_CRL, X509_CRL_free, p, n))
        return say("a certificate revocation list", "the private key is in another file", wanted,
                   err);
    if (IS_WHOLE(d2i_X509_PUBKEY, X509_PUBKEY_free, p, n))
        return say(PUBLIC, wanted, err);
    if (IS_WHOLE(d2i_PKCS7, PKCS7_free, p, n))
        return say("a bundle of certificates (PKCS#7)", "the private key is in another file",
                   wanted, err);
    return say_broken(der, wanted, err);
}

/* ---- PEM */

bool other_is_key_label(const char *label)
{
    static const char *const known[] = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY",
                                        "EC PRIVATE KEY", "DSA PRIVATE KEY"};

    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(label, known[i]) == 0)
            return true;
    return false;
}

/* Whose certificate it is, if it can be read. */
static void name_certificate(struct rd body, const char *wanted, struct err *err)
{
    struct secret der = {0};
    struct err ignored;

    if (!pem_decode(body, &der, &ignored))
        return;
    const uint8_t *at = der.bytes;
    CLEANUP(cleanup_x509) X509 *x = d2i_X509(NULL, &at, (long)der.len);
    if (x)
        say_certificate(x, wanted, err);
    secret_free(&der);
}

bool other_pem(const struct pem_block *block, const char *wanted, struct err *err)
{
    for (size_t i = 0; i < COUNT(labels); i++)
        if (strcmp(block->label, labels[i].sign) == 0) {
            say(labels[i].what, labels[i].hint, wanted, err);
            if (strcmp(block->label, "CERTIFICATE") == 0)
                name_certificate(block->body, wanted, err);
            return false;
        }
    err_set(err, ERR_BAD_REQUEST, "this is a PEM block \"%s\", and no %s", block->label, wanted);
    return err_hint(err, "a private key begins with -----BEGIN PRIVATE KEY----- or the like");
}

/* ---- neither */

static bool begins(const struct rd *bytes, const struct kind *k)
{
    size_t n = k->sign_len ? k->sign_len : strlen(k->sign);

    if (rd_left(bytes) < n)
        return false;
    return k->sign_len ? memcmp(bytes->at, k->sign, n) == 0
                       : strncasecmp((const char *)bytes->at, k->sign, n) == 0;
}

static bool all_of(const struct rd *bytes, bool (*fits)(uint8_t c))
{
    for (const uint8_t *at = bytes->at; at < bytes->end; at++)
        if (!fits(*at))
            return false;
    return true;
}

static bool fits_base64(uint8_t c)
{
    return isalnum(c) || isspace(c) || c == '+' || c == '/' || c == '=';
}

static bool fits_text(uint8_t c)
{
    return c >= ' ' || isspace(c);
}

static bool fits_blank(uint8_t c)
{
    return isspace(c) || c == 0;
}

static bool mentions(const struct rd *bytes, const char *text)
{
    return memmem(bytes->at, rd_left(bytes), text, strlen(text)) != NULL;
}

static bool say_text(const struct rd *bytes, const char *wanted, struct err *err)
{
    if (rd_left(bytes) > 100 && all_of(bytes, fits_base64)) {
        err_set(err, ERR_BAD_REQUEST, "this is base64 without its BEGIN and END lines");
        return err_hint(err, "copy it with them, or make DER of it: base64 -d FILE > NEW");
    }
    if (mentions(bytes, "PRIVATE KEY")) {
        err_set(err, ERR_BAD_REQUEST, "its BEGIN line is damaged");
        return err_hint(err, "it has five hyphens on both sides: -----BEGIN PRIVATE KEY-----");
    }
    err_set(err, ERR_BAD_REQUEST, "this is text without a %s in it", wanted);
    return err_hint(err, "a key in PEM begins with -----BEGIN PRIVATE KEY----- or the like");
}

bool other_bytes(const struct rd *bytes, const char *wanted, struct err *err)
{
    struct rd r = *bytes;

    if (all_of(&r, fits_blank)) {
        err_set(err, ERR_BAD_REQUEST, rd_left(&r) ? "the file is blank" : "the file is empty");
        return err_hint(err, "is the path right?");
    }
    for (size_t i = 0; i < COUNT(beginnings); i++)
        if (beginnings[i].sign_len && begins(&r, &beginnings[i]))
            return say(beginnings[i].what, beginnings[i].hint, wanted, err);
    while (rd_left(&r) && isspace(*r.at))
        rd_u8(&r);
    for (size_t i = 0; i < COUNT(beginnings); i++)
        if (begins(&r, &beginnings[i]))
            return say(beginnings[i].what, beginnings[i].hint, wanted, err);
    if (all_of(bytes, fits_text))
        return say_text(bytes, wanted, err);
    err_set(err, ERR_BAD_REQUEST, "this is binary data of no form that keyd knows");
    return err_hint(err, "keyd takes keys in PEM, DER and PKCS#12");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The info is written by hand, not by X509_REQ: the key must stand in it as the token's registry
 * has it, byte by byte, since that is what the recogniser compares (policy/tbs_csr.c). libcrypto
 * has the last word: a request that it does not verify is not handed out.
 */
#include "proto/x509/csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/x509/der.h"
#include "proto/x509/dns.h"
#include "proto/x509/subject.h"

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTETS = 0x04,
    TAG_NULL = 0x05,
    TAG_OID = 0x06,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_DNS_NAME = 0x82, /* GeneralName dNSName [2] IMPLICIT IA5String, RFC 5280 4.2.1.6 */
    TAG_CONTEXT_0 = 0xa0,
    TAG_CONTEXT_1 = 0xa1,
    TAG_CONTEXT_2 = 0xa2,
};

static const uint8_t oid_extension_request[] = {0x2a, 0x86, 0x48, 0x86, 0xf7,
                                                0x0d, 0x01, 0x09, 0x0e};
static const uint8_t oid_subject_alt_name[] = {0x55, 0x1d, 0x11};

/* ---- the names */

struct names {
    char (*list)[DNS_NAME_MAX + 1];
    size_t count;
};

static void names_free(struct names *n)
{
    mem_free(n->list);
}

static bool names_have(const struct names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->list[i], name) == 0)
            return true;
    return false;
}

static bool names_collect(const char *const *names, size_t count, const char *cn, struct names *ret,
                          struct err *err)
{
    char name[DNS_NAME_MAX + 1];

    if (count > CSR_NAMES_MAX)
        return err_set(err, ERR_BAD_REQUEST, "%zu names; a request may have %d", count,
                       CSR_NAMES_MAX);
    if (count == 0 && cn[0] == '\0') {
        err_set(err, ERR_BAD_REQUEST, "a request without a name");
        return err_hint(err, "give a DNS name (--san), or a CN in the subject");
    }
    ret->list = mem_array(count + 1, sizeof(ret->list[0]));
    if (!ret->list)
        return err_set(err, ERR_INTERNAL, "no memory for a request");
    for (size_t i = 0; i < count; i++) {
        TRY(dns_name_normalize(names[i], name, err));
        if (!names_have(ret, name))
            memcpy(ret->list[ret->count++], name, sizeof(name));
    }
    if (count == 0 && subject_cn_is_host(cn, name))
        memcpy(ret->list[ret->count++], name, sizeof(name));
    return true;
}

/* ---- the info, from its end to its start */

/* Extension (RFC 5280 4.1): critical when the subject is empty (4.2.1.6). */
static void put_alt_names(struct der_out *o, const struct names *names, bool critical)
{
    static const uint8_t yes[] = {0xff};
    const uint8_t *extension = der_mark(o), *octets = der_mark(o);

    for (size_t i = names->count; i-- > 0;)
        der_value(o, TAG_DNS_NAME, names->list[i], strlen(names->list[i]));
    der_wrap(o, TAG_SEQUENCE, octets);
    der_wrap(o, TAG_OCTETS, octets);
    if (critical)
        der_value(o, TAG_BOOLEAN, yes, sizeof(yes));
    der_value(o, TAG_OID, oid_subject_alt_name, sizeof(oid_subject_alt_name));
    der_wrap(o, TAG_SEQUENCE, extension);
}

static void put_attributes(struct der_out *o, const struct names *names, bool critical)
{
    const uint8_t *attributes = der_mark(o);

    if (names->count > 0) {
        put_alt_names(o, names, critical);
        der_wrap(o, TAG_SEQUENCE, attributes); /* Extensions */
        der_wrap(o, TAG_SET, attributes);
        der_value(o, TAG_OID, oid_extension_request, sizeof(oid_extension_request));
        der_wrap(o, TAG_SEQUENCE, attributes);
    }
    der_wrap(o, TAG_CONTEXT_0, attributes);
}

static void put_info(struct der_out *o, const struct subject *subject, const uint8_t *spki,
                     size_t spki_len, const struct names *names)
{
    static const uint8_t v1[] = {0};
    const uint8_t *info = der_mark(o);
    bool empty = subject->der_len == 2; /* SEQUENCE {} */

    put_attributes(o, names, empty);
    der_raw(o, spki, spki_len);
    der_raw(o, subject->der, subject->der_len);
    der_value(o, TAG_INTEGER, v1, sizeof(v1));
    der_wrap(o, TAG_SEQUENCE, info);
}

/* What a writer has, in memory of its own. */
static bool take_der(const struct der_out *o, uint8_t **ret, size_t *ret_len, struct err *err)
{
    size_t n = (size_t)(o->end - o->at);
    uint8_t *der = o->failed ? NULL : mem_dup(o->at, n);

    if (!der)
        return err_set(err, ERR_INTERNAL, "no memory for a request");
    *ret = der;
    *ret_len = n;
    return true;
}

bool csr_build(const uint8_t *spki, size_t spki_len, const char *subject_text,
               const char *const *names, size_t name_count, uint8_t **ret, size_t *ret_len,
               struct err *err)
{
    CLEANUP(subject_free) struct subject subject = {.der = NULL};
    CLEANUP(names_free) struct names list = {.list = NULL};

    TRY(subject_parse(subject_text, &subject, err));
    TRY(names_collect(names, name_count, subject.cn, &list, err));
    size_t cap = 128 + subject.der_len + spki_len + list.count * (DER_HEAD_MAX + DNS_NAME_MAX);
    AUTO_FREE uint8_t *room = mem_new(cap);
    if (!room)
        return err_set(err, ERR_INTERNAL, "no memory for a request");
    struct der_out o = der_out_of(room, cap);
    put_info(&o, &subject, spki, spki_len, &list);
    return take_der(&o, ret, ret_len, err);
}

/* ---- the signature algorithm */

static const uint8_t oid_rsa_pss[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a};
static const uint8_t oid_mgf1[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08};
/* id-sha256; 384 and 512 differ in the last byte: 2, 3 */
static const uint8_t oid_sha2[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01};

struct algorithm {
    uint16_t scheme;
    uint8_t oid[9];
    uint8_t oid_len;
    bool null;    /* parameters NULL (RFC 8017 A.2.4); without: none at all (RFC 5758, RFC 8410) */
    uint8_t salt; /* PSS: as long as the hash; 0: no PSS */
};

static const struct algorithm algorithms[] = {
    {0x0403, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}, 8, false, 0},
    {0x0503, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}, 8, false, 0},
    {0x0603, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}, 8, false, 0},
    {0x0401, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}, 9, true, 0},
    {0x0501, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c}, 9, true, 0},
    {0x0601, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d}, 9, true, 0},
    {0x0804, {0}, 0, false, 32},
    {0x0805, {0}, 0, false, 48},
    {0x0806, {0}, 0, false, 64},
    {0x0807, {0x2b, 0x65, 0x70}, 3, false, 0},
};

static const struct algorithm *algorithm_of(uint16_t scheme)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (algorithms[i].scheme == scheme)
            return &algorithms[i];
    return NULL;
}

/* AlgorithmIdentifier of the hash whose output has `bytes` bytes. */
static void put_hash(struct der_out *o, uint8_t bytes)
{
    uint8_t oid[sizeof(oid_sha2)];
    const uint8_t *inner = der_mark(o);

    memcpy(oid, oid_sha2, sizeof(oid));
    oid[sizeof(oid) - 1] = (uint8_t)(bytes / 16 - 1);
    der_value(o, TAG_NULL, NULL, 0);
    der_value(o, TAG_OID, oid, sizeof(oid));
    der_wrap(o, TAG_SEQUENCE, inner);
}

/* RSASSA-PSS-params (RFC 8017 A.2.3): hash, MGF1 with the same hash, salt as long as the hash. */
static void put_pss(struct der_out *o, uint8_t salt)
{
    const uint8_t *params = der_mark(o), *inner = params;

    der_value(o, TAG_INTEGER, &salt, 1);
    der_wrap(o, TAG_CONTEXT_2, inner);
    inner = der_mark(o);
    put_hash(o, salt);
    der_value(o, TAG_OID, oid_mgf1, sizeof(oid_mgf1));
    der_wrap(o, TAG_SEQUENCE, inner);
    der_wrap(o, TAG_CONTEXT_1, inner);
    inner = der_mark(o);
    put_hash(o, salt);
    der_wrap(o, TAG_CONTEXT_0, inner);
    der_wrap(o, TAG_SEQUENCE, params);
    der_value(o, TAG_OID, oid_rsa_pss, sizeof(oid_rsa_pss));
}

static void put_algorithm(struct der_out *o, const struct algorithm *a)
{
    const uint8_t *inner = der_mark(o);

    if (a->salt) {
        put_pss(o, a->salt);
    } else {
        if (a->null)
            der_value(o, TAG_NULL, NULL, 0);
        der_value(o, TAG_OID, a->oid, a->oid_len);
    }
    der_wrap(o, TAG_SEQUENCE, inner);
}

/* ---- the whole */

static void put_request(struct der_out *o, const uint8_t *info, size_t info_len,
                        const struct algorithm *algorithm, const uint8_t *signature,
                        size_t signature_len)
{
    static const uint8_t unused_bits[] = {0};
    const uint8_t *request = der_mark(o);

    der_raw(o, signature, signature_len);
    der_raw(o, unused_bits, sizeof(unused_bits));
    der_wrap(o, TAG_BIT_STRING, request);
    put_algorithm(o, algorithm);
    der_raw(o, info, info_len);
    der_wrap(o, TAG_SEQUENCE, request);
}

static void free_request(X509_REQ **request)
{
    X509_REQ_free(*request);
}

static void free_bio(BIO **bio)
{
    BIO_free_all(*bio);
}

static bool verifies(const uint8_t *der, size_t len, struct err *err)
{
    const unsigned char *at = der;
    CLEANUP(free_request) X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)len);
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;

    if (key && at == der + len && X509_REQ_verify(request, key) == 1)
        return true;
    ERR_clear_error();
    return err_set(err, ERR_INTERNAL, "the certificate request that was made does not verify");
}

static bool to_pem(const uint8_t *der, size_t len, char **ret, struct err *err)
{
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL, *pem = NULL;

    if (bio && PEM_write_bio(bio, PEM_STRING_X509_REQ, "", der, (long)len) > 0) {
        long n = BIO_get_mem_data(bio, &text);
        pem = n > 0 ? mem_new((size_t)n + 1) : NULL;
        if (pem)
            memcpy(pem, text, (size_t)n);
    }
    if (!pem)
        return err_set(err, ERR_INTERNAL, "no memory for a request");
    *ret = pem;
    return true;
}

bool csr_finish(const uint8_t *info, size_t info_len, uint16_t scheme, const uint8_t *signature,
                size_t signature_len, char **ret_pem, struct err *err)
{
    const struct algorithm *algorithm = algorithm_of(scheme);
    size_t cap = info_len + signature_len + 128;
    AUTO_FREE uint8_t *room = mem_new(cap);

    if (!algorithm)
        return err_set(err, ERR_UNSUPPORTED,
                       "signature scheme 0x%04x has no place in a certificate request", scheme);
    if (!room)
        return err_set(err, ERR_INTERNAL, "no memory for a request");
    struct der_out o = der_out_of(room, cap);
    put_request(&o, info, info_len, algorithm, signature, signature_len);
    if (o.failed)
        return err_set(err, ERR_INTERNAL, "a certificate request that is too large");
    size_t len = (size_t)(o.end - o.at);
    TRY(verifies(o.at, len, err));
    return to_pem(o.at, len, ret_pem, err);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd/policy/tbs_csr*.c, tbs_names.c: what it takes is well-formed DER that holds the key; fewer
 * names allowed never let more through; and libcrypto finds no name in it that was not allowed.
 */
#include "keyd/policy/tbs_csr.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "keyd/policy/ber.h"
#include "keyd/policy/tbs.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/spki.h"

static const char *const allowed_list[] = {"www.example.com", "*.example.org", ".example.net"};
static const struct tbs_names any = {0}, some = {allowed_list, 3};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

static bool ends(const char *name, size_t n, const char *tail)
{
    size_t t = strlen(tail);

    return n > t && strncasecmp(name + n - t, tail, t) == 0;
}

static bool may(const ASN1_STRING *s)
{
    const char *name = (const char *)ASN1_STRING_get0_data(s);
    size_t n = (size_t)ASN1_STRING_length(s);

    return (n == 15 && strncasecmp(name, allowed_list[0], n) == 0) ||
           (ends(name, n, ".example.org") && !memchr(name, '.', n - 12)) ||
           ends(name, n, ".example.net");
}

/* libcrypto reads it as a request when an empty signature stands behind it. */
static X509_REQ *read_request(const uint8_t *info, size_t n)
{
    static const uint8_t tail[] = {0x30, 3, 6, 1, 0x2a, 3, 1, 0};
    size_t body = n + sizeof(tail), at = 0;
    uint8_t *der = OPENSSL_malloc(body + 4);
    const uint8_t *p = der;

    FUZZ_ASSERT(der && body < 65536);
    der[at++] = 0x30;
    der[at++] = 0x82;
    der[at++] = (uint8_t)(body >> 8);
    der[at++] = (uint8_t)body;
    memcpy(der + at, info, n);
    memcpy(der + at + n, tail, sizeof(tail));
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)(body + 4));
    OPENSSL_free(der);
    ERR_clear_error();
    return req;
}

static void names_are_allowed(X509_REQ *req)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        FUZZ_ASSERT(name->type == GEN_DNS && may(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct err err = {0}, why = {0};
    bool ok = tbs_csr(input, n, spki, sizeof(spki), &any, &err);
    bool restricted = tbs_csr(input, n, spki, sizeof(spki), &some, &why);

    FUZZ_ASSERT(ok || err.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(restricted || why.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(ok || !restricted);
    if (!ok)
        return 0;
    FUZZ_ASSERT(der_well_formed(rd_of(input, n), 32) && ber_is_signable(input, n));
    FUZZ_ASSERT(tbs_recognise(input, n, &err) == 0);
    FUZZ_ASSERT(memmem(input, n, spki, sizeof(spki)));
    X509_REQ *req = n < 65000 ? read_request(input, n) : NULL;
    if (req && restricted)
        names_are_allowed(req);
    X509_REQ_free(req);
    return 0;
}

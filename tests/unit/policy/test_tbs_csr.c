/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/tbs_csr.h"

#include "keyd/policy/ber.h"
#include "samples.h"

/* An Ed25519 SubjectPublicKeyInfo (RFC 8410 10.1) and pieces of a request for it. */
#define SPKI                                                                                       \
    "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
#define VERSION "020100"
#define CN      "300c310a300806035504030c0161" /* CN=a */
/* an extensionRequest for the DNS name "a" */
#define SAN   "a01e301c06092a864886f70d01090e310f300d300b0603551d11040430028200"
#define EMPTY "a000"

static const struct tbs_names any = {0};

struct case_ {
    const char *members; /* of the outer SEQUENCE */
    const char *why;     /* NULL: fits */
};

static struct sample wrap(const char *members)
{
    struct sample inner = sample_of_hex(members);
    struct sample s = {.bytes = {DER_SEQUENCE, (uint8_t)inner.len}, .len = 2};

    assert_true(inner.len < 128);
    sample_add(&s, inner.bytes, inner.len);
    return s;
}

static bool judge(const struct sample *s, struct err *err)
{
    struct sample spki = sample_of_hex(SPKI);

    *err = (struct err){.code = ERR_NONE};
    return tbs_csr(s->bytes, s->len, spki.bytes, spki.len, &any, err);
}

static void members(void **state)
{
    static const struct case_ cases[] = {
        {VERSION CN SPKI SAN, NULL},
        {VERSION CN SPKI EMPTY, NULL},
        {VERSION "3000" SPKI EMPTY, NULL}, /* the subject may be empty: names are in the SAN */
        {VERSION CN SPKI, "attributes"},
        {VERSION CN SPKI EMPTY EMPTY, "2 bytes too many"},
        {VERSION CN SPKI "a100", "attributes"},
        {VERSION CN SPKI "a0020500", "attributes"},
        {VERSION CN SPKI "a007300506012a3100", "an attribute that keyd does not sign"},
        {VERSION CN SPKI "a0073005060129310030", "an attribute that keyd does not sign"},
        {CN SPKI EMPTY, "version 0"},
        {"020101" CN SPKI EMPTY, "version 0"},
        {"02020000" CN SPKI EMPTY, "version 0"},
        {VERSION SPKI EMPTY, "subject"},
        {VERSION "310a300806035504030c0161" SPKI EMPTY, "subject"},
        {VERSION "30023100" SPKI EMPTY, "subject"},
        {VERSION "300e310c300a06035504030c01610500" SPKI EMPTY, "subject"},
        {VERSION CN EMPTY, "another public key"},
        {VERSION CN CN SPKI EMPTY, "another public key"},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = wrap(cases[i].members);
        assert_int_equal(judge(&s, &err), cases[i].why == NULL);
        if (!cases[i].why)
            continue;
        assert_int_equal(err.code, ERR_BAD_SHAPE);
        if (!strstr(err.text, cases[i].why))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void one_whole_value(void **state)
{
    struct sample good = wrap(VERSION CN SPKI SAN), s = good;
    struct err err;

    (void)state;
    assert_true(judge(&good, &err));
    s.bytes[s.len++] = 0;
    assert_false(judge(&s, &err));
    assert_non_null(strstr(err.text, "not one whole DER CertificationRequestInfo"));
    for (size_t n = 0; n < good.len; n++) {
        assert_false(tbs_csr(good.bytes, n, good.bytes, 0, &any, &err));
        assert_int_equal(err.code, ERR_BAD_SHAPE);
    }
    s = good;
    s.bytes[0] = DER_SET;
    assert_false(judge(&s, &err));
}

/* BER that is no DER: OpenSSL would take it, we sign only what has one reading. */
static void no_ber(void **state)
{
    struct sample inner = sample_of_hex(VERSION CN SPKI EMPTY);
    struct sample s = {.bytes = {0x30, 0x81, (uint8_t)inner.len}, .len = 3};
    struct sample indefinite = {.bytes = {0x30, 0x80}, .len = 2};
    struct err err;

    (void)state;
    sample_add(&s, inner.bytes, inner.len);
    assert_true(ber_is_signable(s.bytes, s.len));
    assert_false(judge(&s, &err));
    sample_add(&indefinite, inner.bytes, inner.len);
    sample_add(&indefinite, "\0\0", 2);
    assert_true(ber_is_signable(indefinite.bytes, indefinite.len));
    assert_false(judge(&indefinite, &err));
}

static void only_this_key(void **state)
{
    struct sample s = wrap(VERSION CN SPKI EMPTY), spki = sample_of_hex(SPKI);
    struct err err;

    (void)state;
    for (size_t i = 0; i < spki.len; i++) {
        struct sample other = spki;
        other.bytes[i] ^= 1;
        assert_false(tbs_csr(s.bytes, s.len, other.bytes, other.len, &any, &err));
        assert_non_null(strstr(err.text, "another public key"));
    }
    assert_false(tbs_csr(s.bytes, s.len, spki.bytes, 0, &any, &err));
}

/* The message with two meanings is a request all right: for its own key, and only here. */
static void the_message_with_two_meanings(void **state)
{
    struct sample s = sample_of_hex(TLS12_AND_CSR);
    const uint8_t *spki = s.bytes + 3 + 3 + 0x3d + 2;
    struct err err;

    (void)state;
    assert_true(tbs_csr(s.bytes, s.len, spki, 91, &any, &err));
    assert_false(judge(&s, &err));
}

/* Values in values without end must not take the stack with them. */
static struct sample nested(unsigned levels)
{
    struct sample s = {.len = 0};

    while (levels-- > 0)
        s = sample_der(DER_SEQUENCE, s.bytes, s.len);
    return s;
}

/* ---- requests built around one extension, attribute or CN */

static struct sample join(const struct sample *a, const struct sample *b)
{
    struct sample s = *a;

    sample_add(&s, b->bytes, b->len);
    return s;
}

/* A request with this subject (contents) and these attributes (contents). */
static struct sample request(const struct sample *subject, const struct sample *attributes)
{
    struct sample inner = sample_of_hex(VERSION), spki = sample_of_hex(SPKI);
    struct sample name = sample_der(DER_SEQUENCE, subject->bytes, subject->len);
    struct sample attrs = sample_der(DER_CONTEXT_0, attributes->bytes, attributes->len);

    inner = join(&inner, &name);
    inner = join(&inner, &spki);
    inner = join(&inner, &attrs);
    return sample_der(DER_SEQUENCE, inner.bytes, inner.len);
}

static struct sample attribute(const char *oid, const struct sample *value)
{
    struct sample type = sample_of_hex(oid), set = sample_der(DER_SET, value->bytes, value->len);
    struct sample both = join(&type, &set);

    return sample_der(DER_SEQUENCE, both.bytes, both.len);
}

#define EXTENSION_REQUEST "06092a864886f70d01090e"

/* A request whose extensionRequest has these extensions, whole ones. */
static struct sample request_with(const struct sample *extensions)
{
    struct sample none = {.len = 0};
    struct sample list = sample_der(DER_SEQUENCE, extensions->bytes, extensions->len);
    struct sample attr = attribute(EXTENSION_REQUEST, &list);

    return request(&none, &attr);
}

/* head: OID and critical flag, in hex. */
static struct sample extension(const char *head, const struct sample *value)
{
    struct sample start = sample_of_hex(head);
    struct sample octets = sample_der(DER_OCTETS, value->bytes, value->len);
    struct sample both = join(&start, &octets);

    return sample_der(DER_SEQUENCE, both.bytes, both.len);
}

static struct sample text(uint8_t tag, const char *string)
{
    return sample_der(tag, string, strlen(string));
}

static void expect(const char *what, const struct sample *s, const struct tbs_names *allowed,
                   const char *why)
{
    struct sample spki = sample_of_hex(SPKI);
    struct err err = {.code = ERR_NONE};
    bool ok = tbs_csr(s->bytes, s->len, spki.bytes, spki.len, allowed, &err);

    if (ok != !why)
        fail_msg("%s: %s", what, ok ? "accepted" : err.text);
    if (!why)
        return;
    assert_int_equal(err.code, ERR_BAD_SHAPE);
    if (!strstr(err.text, why))
        fail_msg("%s: %s", what, err.text);
}

#define OID_SAN   "0603551d11"
#define OID_KU    "0603551d0f"
#define OID_EKU   "0603551d25"
#define OID_BC    "0603551d13"
#define OID_TLS   "06082b06010505070118"
#define OID_SKI   "0603551d0e"
#define CRITICAL  "0101ff"
#define SERVER    "06082b06010505070301"
#define AUTHORITY "for an authority"

static void extensions(void **state)
{
    static const struct {
        const char *head, *value;
        const char *why;
    } cases[] = {
        {OID_SAN,
         "30038201"
         "61",
         NULL},
        {OID_SAN CRITICAL,
         "30038201"
         "61",
         NULL},
        {OID_SAN,
         "30068704"
         "7f000001",
         NULL}, /* an address; with a list of names: see below */
        {OID_SAN "010100", "3003820161", "list of extensions"}, /* DEFAULT FALSE, written out */
        {OID_SAN "010101", "3003820161", "list of extensions"},
        {OID_SAN, "3000", "subjectAltName"},
        {OID_SAN, "30030c0161", "subjectAltName"}, /* a UTF8String is no GeneralName */
        {OID_SAN,
         "3003820161"
         "0500",
         "subjectAltName"},
        {OID_SAN,
         "30048202"
         "61",
         "list of extensions"},
        {OID_KU, "030205a0", NULL}, /* digitalSignature, keyEncipherment */
        {OID_KU, "03020780", NULL},
        {OID_KU, "0303070080", NULL}, /* decipherOnly */
        {OID_KU, "03020204", AUTHORITY},
        {OID_KU, "03020102", AUTHORITY},
        {OID_KU, "03020186", AUTHORITY},
        {OID_KU, "0303070480", AUTHORITY},
        {OID_KU, "030200a0", "keyUsage"}, /* zero bits at the end */
        {OID_KU, "030205a1", "keyUsage"}, /* unused bits that are set */
        {OID_KU, "030208a0", "keyUsage"},
        {OID_KU, "030100", "keyUsage"},
        {OID_KU,
         "0304000101"
         "01",
         "keyUsage"},
        {OID_EKU, "300a" SERVER, NULL},
        {OID_EKU, "3014" SERVER "06082b06010505070302", NULL},
        {OID_EKU, "3000", "extKeyUsage"},
        {OID_EKU,
         "30030601"
         "80",
         "extKeyUsage"},
        {OID_EKU, "3003020101", "extKeyUsage"},
        {OID_BC, "3000", NULL},
        {OID_BC CRITICAL, "3000", NULL},
        {OID_BC, "30030101ff", AUTHORITY},
        {OID_BC, "3003010100", AUTHORITY},
        {OID_BC, "3003020100", AUTHORITY},
        {OID_BC, "30060101ff020100", AUTHORITY},
        {OID_BC, "0500", "basicConstraints"},
        {OID_TLS, "3003020105", NULL}, /* must-staple */
        {OID_TLS,
         "30040202"
         "0005",
         "TLS feature"},
        {OID_TLS, "30020500", "TLS feature"},
        {OID_SKI, "040101", "an extension that keyd does not sign (OID, in hex: 551d0e)"},
        {"06042a864801", "0500", "an extension that keyd does not sign (OID, in hex: 2a864801)"},
        {"0601"
         "80",
         "0500", "list of extensions"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample value = sample_of_hex(cases[i].value);
        struct sample ext = extension(cases[i].head, &value);
        struct sample s = request_with(&ext);
        char what[32];

        snprintf(what, sizeof(what), "extension %zu", i);
        expect(what, &s, &any, cases[i].why);
    }
}

static void lists_of_extensions(void **state)
{
    struct sample name = sample_of_hex("3003820161"), usage = sample_of_hex("030205a0");
    struct sample none = {.len = 0}, deep = nested(10), s;
    struct sample san = extension(OID_SAN, &name), ku = extension(OID_KU, &usage);
    struct sample both = join(&san, &ku), twice = join(&san, &san);

    (void)state;
    s = request_with(&both);
    expect("two", &s, &any, NULL);
    s = request_with(&twice);
    expect("twice", &s, &any, "the same extension twice");
    s = request_with(&none);
    expect("none", &s, &any, "list of extensions");
    s = extension(OID_SAN, &deep);
    s = request_with(&s);
    expect("deep", &s, &any, "list of extensions");
}

static void attributes(void **state)
{
    struct sample none = {.len = 0}, name = sample_of_hex("3003820161"), s, a;
    struct sample san = extension(OID_SAN, &name);
    struct sample list = sample_der(DER_SEQUENCE, san.bytes, san.len), two = join(&list, &list);
    struct sample good = attribute(EXTENSION_REQUEST, &list), pass = text(0x0c, "secret");

    (void)state;
    s = request(&none, &good);
    expect("one", &s, &any, NULL);
    a = join(&good, &good);
    s = request(&none, &a);
    expect("two", &s, &any, "more than one attribute");
    a = attribute(EXTENSION_REQUEST, &two);
    s = request(&none, &a);
    expect("two values", &s, &any, "list of extensions");
    a = attribute("06092a864886f70d010907", &pass);
    s = request(&none, &a);
    expect("challengePassword", &s, &any,
           "an attribute that keyd does not sign (OID, in hex: 2a8648");
    a = join(&good, &a);
    s = request(&none, &a);
    expect("and another", &s, &any, "more than one attribute");
    a = attribute("060a2b060104018237020"
                  "10e",
                  &list);
    s = request(&none, &a);
    expect("Microsoft's", &s, &any, "an attribute that keyd does not sign");
}

/* ---- names */

static const char *const patterns[] = {"www.example.com", "*.example.org", ".example.net"};
static const struct tbs_names some = {patterns, 3};

static struct sample with_cn(uint8_t tag, const char *cn)
{
    struct sample oid = sample_of_hex("0603550403"), value = text(tag, cn), none = {.len = 0};
    struct sample both = join(&oid, &value);
    struct sample pair = sample_der(DER_SEQUENCE, both.bytes, both.len);
    struct sample rdn = sample_der(DER_SET, pair.bytes, pair.len);

    return request(&rdn, &none);
}

static struct sample with_alt_name(uint8_t tag, const char *name)
{
    struct sample one = text(tag, name), list = sample_der(DER_SEQUENCE, one.bytes, one.len);
    struct sample ext = extension(OID_SAN, &list);

    return request_with(&ext);
}

static void common_names(void **state)
{
    static const struct {
        uint8_t tag;
        const char *cn;
        bool ok;
    } cases[] = {
        {0x0c, "www.example.com", true},
        {0x13, "WWW.example.com", true},
        {0x0c, "a.example.org", true},
        {0x0c, "Acme Inc.", true},
        {0x0c, "Acme", false},
        {0x0c, "evil.test", false},
        {0x0c, " evil.test", false},
        {0x0c, "evil.test \t", false},
        {0x0c, "www.example.com ", false},
        {0x0c, "10.0.0.1", false},
        {0x0c, "m\xc3\xbcller.example.net", false},
        {0x1e, "www.example.com", false}, /* BMPString */
        {0x14, "www.example.com", false},
        {0x2c, "www.example.com", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = with_cn(cases[i].tag, cases[i].cn);
        expect(cases[i].cn, &s, &some, cases[i].ok ? NULL : "CN");
        expect(cases[i].cn, &s, &any, NULL);
    }
}

static void alternative_names(void **state)
{
    static const uint8_t others[] = {0x81, 0x86, 0x87, 0x88, 0xa0, 0xa4};
    struct sample s = with_alt_name(0x82, "www.example.com"), two, list, ext;

    (void)state;
    expect("allowed", &s, &some, NULL);
    s = with_alt_name(0x82, "evil.test");
    expect("not allowed", &s, &some, "for \"evil.test\", which this key may not ask for");
    expect("any", &s, &any, NULL);
    s = with_alt_name(0x82, "");
    expect("empty", &s, &some, "may not ask for");
    for (size_t i = 0; i < sizeof(others); i++) {
        s = with_alt_name(others[i], others[i] & 0x20 ? "" : "www.example.com");
        expect("another kind", &s, &some, "no DNS name");
        expect("another kind", &s, &any, NULL);
    }
    s = text(0x82, "www.example.com");
    two = text(0x82, "evil.test");
    s = join(&s, &two);
    list = sample_der(DER_SEQUENCE, s.bytes, s.len);
    ext = extension(OID_SAN, &list);
    s = request_with(&ext);
    expect("the second one", &s, &some, "evil.test");
}

/* What DER orders is in order (X.690 11.6). */
static void a_set_in_order(void **state)
{
    struct sample a = sample_of_hex("3008060355040a0c0161"), none = {.len = 0};
    struct sample b = sample_of_hex("3008060355040b0c0161"), both, rdn, s;

    (void)state;
    both = join(&a, &b);
    rdn = sample_der(DER_SET, both.bytes, both.len);
    s = request(&rdn, &none);
    expect("in order", &s, &any, NULL);
    both = join(&b, &a);
    rdn = sample_der(DER_SET, both.bytes, both.len);
    s = request(&rdn, &none);
    expect("not in order", &s, &any, "subject");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(one_whole_value),
        cmocka_unit_test(no_ber),
        cmocka_unit_test(only_this_key),
        cmocka_unit_test(the_message_with_two_meanings),
        cmocka_unit_test(extensions),
        cmocka_unit_test(lists_of_extensions),
        cmocka_unit_test(attributes),
        cmocka_unit_test(common_names),
        cmocka_unit_test(alternative_names),
        cmocka_unit_test(a_set_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

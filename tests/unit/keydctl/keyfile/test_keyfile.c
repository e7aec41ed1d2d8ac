/* SPDX-License-Identifier: Apache-2.0
 *
 * Every form that the openssl command writes, each beside the ways in which it is refused.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "clients/libkeyd/keyd.h"
#include "tests/unit/keydctl/keyfile/fixture.h"

/* What was read is the key: its SPKI and its PKCS#8 are what openssl writes of it, byte by byte. */
static void check(const struct keyfile *k, const char *key)
{
    char name[64];
    const struct bytes *b;

    snprintf(name, sizeof(name), "%s.spki", key);
    b = slurp(name);
    assert_int_equal(k->spki_len, b->n);
    assert_memory_equal(k->spki, b->p, b->n);
    snprintf(name, sizeof(name), "%s.p8", key);
    b = slurp(name);
    assert_int_equal(k->pkcs8.len, b->n);
    assert_memory_equal(k->pkcs8.bytes, b->p, b->n);
}

struct row {
    const char *key;  /* rsa, p256, p384, ed25519 */
    const char *make; /* writes the file f */
    const char *form; /* NULL: whichever this openssl writes */
    const char *pass; /* NULL: none is needed */
};

#define PO        " -passout file:pass "
#define P8        "openssl pkcs8 -topk8 " PO
#define V1        "openssl pkcs8 -topk8 -provider default -provider legacy" PO
#define TR        "openssl rsa -traditional -in rsa.pem -out f" PO
#define PX        "openssl pkcs12 -export -out f -passout file:pass "
#define ENCRYPTED "encrypted PKCS#8"

static const struct row rows[] = {
    /* in the clear */
    {"rsa", "cp rsa.pem f", "PKCS#8", NULL},
    {"rsa", "openssl pkey -in rsa.pem -outform DER -out f", NULL, NULL}, /* by version */
    {"rsa", "openssl pkcs8 -topk8 -nocrypt -in rsa.pem -out f", "PKCS#8", NULL},
    {"rsa", "openssl rsa -traditional -in rsa.pem -out f", "PKCS#1", NULL},
    {"rsa", "openssl rsa -traditional -in rsa.pem -outform DER -out f", "PKCS#1", NULL},
    {"rsa", "openssl rsa -traditional -in rsa.pem -text -out f", "PKCS#1", NULL},
    {"rsa", "openssl pkey -in rsa.pem -text -out f", "PKCS#8", NULL},
    {"p256", "cp p256.pem f", "PKCS#8", NULL},
    {"p256", "openssl ec -in p256.pem -out f", "SEC1", NULL},
    {"p256", "openssl ec -in p256.pem -outform DER -out f", "SEC1", NULL},
    {"p256", "openssl ec -in p256.pem -no_public -out f", "SEC1", NULL},
    {"p256", "openssl ec -in p256.pem -conv_form compressed -out f", "SEC1", NULL},
    {"p256", "openssl ec -in p256.pem -conv_form hybrid -out f", "SEC1", NULL},
    {"p256", "openssl pkey -in p256.pem -ec_conv_form compressed -out f", "PKCS#8", NULL},
    {"p256", "openssl ecparam -name prime256v1 -out f; openssl ec -in p256.pem >>f", "SEC1",
     NULL}, /* as openssl ecparam -genkey writes it */
    {"p384", "openssl ec -in p384.pem -out f", "SEC1", NULL},
    {"p384", "openssl pkey -in p384.pem -outform DER -out f", NULL, NULL},
    {"ed25519", "cp ed25519.pem f", "PKCS#8", NULL},
    {"ed25519", "openssl pkey -in ed25519.pem -outform DER -out f", "PKCS#8", NULL},
    /* text around it */
    {"rsa", "cat rsa.crt rsa.pem p256.crt >f", "PKCS#8", NULL},
    {"rsa", "sed 's/$/\\r/' rsa.pem >f", "PKCS#8", NULL},
    {"rsa", "tr -d '\\n' <rsa.pem >f", "PKCS#8", NULL},
    {"rsa", "tr '\\n' ' ' <rsa.pem >f", "PKCS#8", NULL},
    {"rsa", "{ printf '\\357\\273\\277'; cat rsa.pem; } >f", "PKCS#8", NULL},
    {"rsa", "{ cat rsa.pem; echo the end; } >f", "PKCS#8", NULL},
    {"rsa",
     "openssl pkcs12 -export -in rsa.crt -inkey rsa.pem -passout pass: -name www -out p;"
     "openssl pkcs12 -in p -passin pass: -noenc -out f",
     "PKCS#8", NULL}, /* with Bag Attributes */
    /* PBES2 */
    {"rsa", P8 "-in rsa.pem -out f", ENCRYPTED, PASSWORD},
    {"rsa", P8 "-in rsa.pem -outform DER -out f", ENCRYPTED, PASSWORD},
    {"rsa", "openssl pkey -aes256 -in rsa.pem -out f" PO, ENCRYPTED, PASSWORD},
    {"rsa",
     "openssl genpkey -aes256 -algorithm RSA -out g" PO ";"
     "openssl pkey -in rsa.pem -aes-128-cbc -out f" PO,
     ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2 aes-128-cbc -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2 aes-192-cbc -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2 des3 -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2 aria-256-cbc -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2 camellia-192-cbc -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2prf hmacWithSHA1 -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v2prf hmacWithSHA512 -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-iter 1 -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-iter 100000 -in p256.pem -out f", ENCRYPTED, PASSWORD},
    {"p384", P8 "-scrypt -in p384.pem -out f", ENCRYPTED, PASSWORD},
    {"p384", P8 "-scrypt -scrypt_N 1024 -scrypt_r 4 -scrypt_p 3 -in p384.pem -out f", ENCRYPTED,
     PASSWORD},
    {"ed25519", P8 "-in ed25519.pem -out f", ENCRYPTED, PASSWORD},
    {"ed25519", "openssl pkcs8 -topk8 -passout pass: -in ed25519.pem -out f", ENCRYPTED, ""},
    /* PBES1, as far as it goes without the legacy provider */
    {"rsa", P8 "-v1 PBE-SHA1-3DES -in rsa.pem -out f", ENCRYPTED, PASSWORD},
    {"p256", P8 "-v1 PBE-SHA1-2DES -in p256.pem -outform DER -out f", ENCRYPTED, PASSWORD},
    /* OpenSSL's old way */
    {"rsa", TR "-aes128", "encrypted PKCS#1", PASSWORD},
    {"rsa", TR "-aes192", "encrypted PKCS#1", PASSWORD},
    {"rsa", TR "-aes256", "encrypted PKCS#1", PASSWORD},
    {"rsa", TR "-des3", "encrypted PKCS#1", PASSWORD},
    {"rsa", TR "-camellia256", "encrypted PKCS#1", PASSWORD},
    {"rsa", TR "-aria192", "encrypted PKCS#1", PASSWORD},
    {"p256", "openssl ec -in p256.pem -aes256 -out f" PO, "encrypted SEC1", PASSWORD},
    {"p256", "openssl ec -in p256.pem -aes256 -out g" PO "; sed 's/$/\\r/' g >f", "encrypted SEC1",
     PASSWORD},
    /* PKCS#12 */
    {"rsa", PX "-inkey rsa.pem -in rsa.crt", "PKCS#12", PASSWORD},
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -certfile p256.crt -name 'Www \xc3\xa4'", "PKCS#12",
     PASSWORD},
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -legacy", "PKCS#12", PASSWORD}, /* RC2-40 around */
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -descert", "PKCS#12", PASSWORD},
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -nomac", "PKCS#12", PASSWORD},
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -keypbe NONE -certpbe NONE", "PKCS#12", PASSWORD},
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -keypbe NONE -certpbe NONE -nomac", "PKCS#12", NULL},
    {"rsa", PX "-inkey rsa.pem -in rsa.crt -keypbe PBE-SHA1-2DES", "PKCS#12", PASSWORD},
    {"rsa", "openssl pkcs12 -export -inkey rsa.pem -in rsa.crt -out f -passout pass:", "PKCS#12",
     NULL},
    {"rsa", "openssl pkcs12 -export -inkey rsa.pem -in rsa.crt -out f -nomac -passout pass:",
     "PKCS#12", NULL},
    {"p256", PX "-inkey p256.pem -nocerts", "PKCS#12", PASSWORD},
    {"p256", PX "-inkey p256.pem -in p256.crt -macalg sha512 -iter 100000", "PKCS#12", PASSWORD},
    {"p256", PX "-inkey p256.pem -in p256.crt -macalg sha1 -noiter -nomaciter", "PKCS#12",
     PASSWORD},
    {"p256", PX "-inkey p256.pem -in p256.crt -LMK -keyex -CSP 'Microsoft RSA'", "PKCS#12",
     PASSWORD},
    {"ed25519", PX "-inkey ed25519.pem -in ed25519.crt", "PKCS#12", PASSWORD},
};

static void try_row(const struct row *r)
{
    static const struct {
        const char *key, *words;
        int type;
    } types[] = {{"rsa", "RSA-2048", KEYD_KEY_RSA_2048},
                 {"p256", "EC P-256", KEYD_KEY_EC_P256},
                 {"p384", "EC P-384", KEYD_KEY_EC_P384},
                 {"ed25519", "Ed25519", KEYD_KEY_ED25519}};
    struct keyfile k;

    sh(r->make);
    must_read("f", r->pass, &k);
    if (r->form && strcmp(k.form, r->form) != 0)
        fail_msg("'%s' was read as %s", r->make, k.form);
    for (size_t i = 0; i < COUNT(types); i++)
        if (strcmp(types[i].key, r->key) == 0) {
            assert_string_equal(k.words, types[i].words);
            assert_int_equal(k.type, types[i].type);
        }
    check(&k, r->key);
    keyfile_free(&k);
    assert_null(k.pkcs8.bytes);
    if (!r->pass)
        return;
    /* its no: another passphrase, and none */
    const struct bytes *b = slurp("f");
    must_refuse(b->p, b->n, PASSWORD2, ERR_DENIED, "the passphrase is wrong", "damaged");
    must_refuse(b->p, b->n, NULL, ERR_DENIED, "is encrypted, and no passphrase was given",
                "--passphrase-file");
}

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        try_row(&rows[i]);
}

/* Other lengths, which take openssl long to make. */
static void test_lengths(void **state)
{
    static const struct {
        const char *bits, *words;
        int type;
    } lengths[] = {{"3072", "RSA-3072", KEYD_KEY_RSA_3072},
                   {"4096", "RSA-4096", KEYD_KEY_RSA_4096}};
    char command[256];

    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct keyfile k;

        snprintf(command, sizeof(command),
                 "cp " SPECIMENS "/rsa%s.pem f;"
                 "openssl pkey -in f -pubout -outform DER -out long.spki;"
                 "openssl pkcs8 -topk8 -nocrypt -in f -outform DER -out long.p8",
                 lengths[i].bits);
        sh(command);
        must_read("f", NULL, &k);
        assert_string_equal(k.words, lengths[i].words);
        assert_int_equal(k.type, lengths[i].type);
        check(&k, "long");
        keyfile_free(&k);
    }
}

/* Keys that openssl writes and keyd does not keep. */
static void test_unsupported(void **state)
{
    static const struct {
        const char *make, *pass, *text, *hint;
    } no[] = {
        {"openssl genrsa -out f 1024", NULL, "the RSA key has 1024 bits, which can be broken",
         "keys-generate"},
        {"openssl genrsa -traditional -out f 512", NULL, "has 512 bits", "2048, 3072 and 4096"},
        {"openssl genrsa -out f 2056", NULL, "has 2056 bits, an unusual length", "keys-generate"},
        {"openssl genrsa -out f 2047", NULL, "has 2047 bits, which can be broken", "2048"},
        {"openssl genrsa -3 -out f 2048", NULL, "public exponent of this RSA-2048 key is 3",
         "65537"},
        {"openssl genrsa -primes 3 -out f 2048", NULL, "more than two primes", "keys-generate"},
        {"openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out f", NULL,
         "of the type rsassaPss", "keyd keeps RSA"},
        {"openssl ecparam -name secp256k1 -genkey -noout -out f", NULL, "curve secp256k1",
         "P-256 and P-384"},
        {"openssl ecparam -name secp521r1 -genkey -out f", NULL, "curve secp521r1", "P-256"},
        {"openssl ecparam -name secp224r1 -genkey -out f", NULL, "curve secp224r1", "P-256"},
        {"openssl ecparam -name prime192v1 -genkey -out f", NULL, "curve prime192v1", "P-256"},
        {"openssl ecparam -name brainpoolP256r1 -genkey -outform DER -noout -out f", NULL,
         "curve brainpoolP256r1", "P-256"},
        {"openssl genpkey -algorithm SM2 -out f", NULL, "curve sm2", "P-256"},
        {"openssl ec -in p256.pem -param_enc explicit -out f", NULL, "spells its curve out",
         "named_curve"},
        {"openssl pkey -in p256.pem -ec_param_enc explicit -out f", NULL, "spells its curve out",
         "named_curve"},
        {"openssl genpkey -algorithm ED448 -out f", NULL, "of the type ED448", "Ed25519"},
        {"openssl genpkey -algorithm X25519 -out f", NULL, "of the type X25519", "Ed25519"},
        {"openssl genpkey -algorithm X448 -outform DER -out f", NULL, "of the type X448", ""},
        {"openssl genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out f", NULL,
         "of the type dhKeyAgreement", ""},
        {"openssl dsaparam -genkey -out f 1024", NULL, "dsaEncryption", "RSA"},
        {"openssl dsaparam -genkey 1024 >g; openssl dsa -in g -out f", NULL, "a DSA key", ""},
        {"openssl dsaparam -genkey 1024 >g; openssl pkey -traditional -in g -out f", NULL,
         "a DSA key", "RSA"},
        /* ciphers of OpenSSL's legacy provider */
        {V1 "-v1 PBE-MD5-DES -in rsa.pem -out f", PASSWORD, "encrypted with pbeWithMD5AndDES-CBC",
         "-provider legacy"},
        {V1 "-v1 PBE-SHA1-RC2-64 -in rsa.pem -out f", PASSWORD, "pbeWithSHA1AndRC2-CBC", "-aes256"},
        {V1 "-v1 PBE-SHA1-RC4-128 -in rsa.pem -out f", PASSWORD, "pbeWithSHA1And128BitRC4", ""},
        {V1 "-v1 PBE-SHA1-RC2-40 -in rsa.pem -out f", PASSWORD, "pbeWithSHA1And40BitRC2-CBC", ""},
        {V1 "-v2 des-cbc -in rsa.pem -out f", PASSWORD, "encrypted with des-cbc", ""},
        {V1 "-v2 rc2-cbc -in rsa.pem -out f", PASSWORD, "encrypted with rc2-cbc", ""},
        {TR "-provider default -provider legacy -des", PASSWORD, "encrypted with DES-CBC",
         "-provider legacy"},
        {TR "-provider default -provider legacy -seed", PASSWORD, "encrypted with SEED-CBC", ""},
        {"openssl pkcs12 -export -legacy -keypbe RC2-40-CBC -inkey rsa.pem -in rsa.crt -out f" PO,
         PASSWORD, "rc2-cbc", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(no); i++) {
        sh(no[i].make);
        const struct bytes *b = slurp("f");
        must_refuse(b->p, b->n, no[i].pass, ERR_UNSUPPORTED, no[i].text, no[i].hint);
    }
}

/* The hints that name a command: it does what it says. */
static void test_hints_work(void **state)
{
    static const struct {
        const char *key, *make;
    } cures[] = {
        {"rsa", V1 "-v1 PBE-MD5-DES -in rsa.pem -out g;"
                   "openssl pkey -provider default -provider legacy -passin file:pass -passout "
                   "'pass:" PASSWORD "' "
                   "-in g -aes256 -out f"},
        {"rsa", "openssl rsa -provider default -provider legacy -traditional -des -in rsa.pem" PO
                "-out g; openssl pkey -provider default -provider legacy -passin file:pass "
                "-passout 'pass:" PASSWORD "' "
                "-in g -aes256 -out f"},
        {"rsa",
         "openssl pkcs12 -export -legacy -keypbe RC2-40-CBC -inkey rsa.pem -in rsa.crt -out g" PO
         ";openssl pkey -provider default -provider legacy -passin file:pass -passout "
         "'pass:" PASSWORD "' -in g -aes256 -out f"},
        {"p256", "openssl ec -in p256.pem -param_enc explicit -out g;"
                 "openssl ec -in g -param_enc named_curve -no_public -out f"},
        {"rsa", "base64 <rsa.p8 >g; base64 -d g >f"},
        {"rsa", "awk '{printf \"%s\\\\n\", $0}' rsa.pem >g; printf '%b' \"$(cat g)\" >f"},
        {"rsa", "iconv -f UTF-8 -t UTF-16 rsa.pem >g; iconv -f UTF-16 -t UTF-8 g >f"},
        {"rsa", "openssl rsa -provider default -provider legacy -in rsa.pem -outform PVK -pvk-none"
                " -out g; openssl rsa -provider default -provider legacy -inform PVK -in g -out f"},
        {"rsa", "openssl rsa -in rsa.pem -outform MSBLOB -out g;"
                "openssl rsa -inform MSBLOB -in g -out f"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cures); i++) {
        struct keyfile k;

        sh(cures[i].make);
        must_read("f", PASSWORD, &k);
        check(&k, cures[i].key);
        keyfile_free(&k);
    }
}

/* Cut anywhere, it is no key; one byte more after DER is one too many. */
static void test_truncated(void **state)
{
    static const char *const makes[] = {
        "cp rsa.p8 f",
        "cp ed25519.pem f",
        "openssl rsa -in rsa.pem -traditional -out f",
        "openssl rsa -in rsa.pem -traditional -outform DER -out f",
        "openssl ec -in p256.pem -outform DER -out f",
        P8 "-in p256.pem -outform DER -iter 1 -out f",
        P8 "-in p256.pem -iter 1 -out f",
        "openssl ec -in p256.pem -aes256 -out f" PO,
        PX "-in p256.crt -inkey p256.pem -noiter",
    };
    static struct bytes whole;

    (void)state;
    for (size_t i = 0; i < COUNT(makes); i++) {
        struct canned c = {.text = PASSWORD};
        struct keyfile k;
        struct err err;

        sh(makes[i]);
        whole = *slurp("f");
        bool pem = whole.p[whole.n - 1] == '\n';
        for (size_t n = 0; n < whole.n - pem; n++) {
            uint8_t *cut = malloc(n ? n : 1); /* so that the sanitizer sees its end */
            struct keyfile_pass p = canned_pass(&c, 1);

            memcpy(cut, whole.p, n);
            if (keyfile_parse(cut, n, "f", &p, &k, &err))
                fail_msg("'%s' was read from its first %zu bytes of %zu", makes[i], n, whole.n);
            if (!err.text[0] || err.code == ERR_INTERNAL || err.code == ERR_NONE)
                fail_msg("'%s', %zu bytes: %s", makes[i], n, err.text);
            free(cut);
        }
        struct keyfile_pass p = canned_pass(&c, 1);
        assert_true(keyfile_parse(whole.p, whole.n, "f", &p, &k, &err));
        keyfile_free(&k);
        whole.p[whole.n++] = 0;
        p = canned_pass(&c, 1);
        if (keyfile_parse(whole.p, whole.n, "f", &p, &k, &err) != pem)
            fail_msg("'%s' and one byte", makes[i]);
        if (pem)
            keyfile_free(&k);
    }
}

#define VERSION_AT 5 /* 0 and 1 are versions of PKCS#8 */

/* No byte of a key in the clear can be another one without notice. */
static void test_damaged(void **state)
{
    static struct bytes whole;

    (void)state;
    whole = *slurp("p256.p8");
    for (size_t i = 0; i < whole.n; i++) {
        struct keyfile k;
        struct err err;

        whole.p[i] ^= 0x01;
        bool ok = keyfile_parse(whole.p, whole.n, "f", NULL, &k, &err);
        if (ok && i == VERSION_AT)
            keyfile_free(&k);
        else if (ok)
            fail_msg("byte %zu may be another one", i);
        whole.p[i] ^= 0x01;
    }
}

/* Nor any number of an RSA key: each is checked against the others. */
static void test_damaged_rsa(void **state)
{
    static struct bytes whole;
    struct rd der, key, at;

    (void)state;
    whole = *slurp("rsa.p8");
    for (size_t i = 0; i < 8; i++) {
        struct keyfile k;
        struct err err;
        struct rd number = {0};

        der = rd_of(whole.p, whole.n);
        der = asn1_enter(&der, TAG_SEQUENCE);
        asn1_whole(&der);
        asn1_whole(&der);
        key = asn1_enter(&der, TAG_OCTETS);
        at = asn1_enter(&key, TAG_SEQUENCE);
        asn1_whole(&at);
        for (size_t n = 0; n <= i; n++)
            number = asn1_natural(&at);
        assert_false(at.failed);
        uint8_t *byte = whole.p + (number.at - whole.p) + rd_left(&number) / 2;
        *byte ^= 0x10;
        if (keyfile_parse(whole.p, whole.n, "f", NULL, &k, &err))
            fail_msg("number %zu may be another one", i);
        assert_contains(err.text, "do not belong together");
        *byte ^= 0x10;
    }
}

/* A terminal may be asked three times; a file is read once. */
static void test_attempts(void **state)
{
    struct canned c = {.text = PASSWORD2};
    struct keyfile_pass three = canned_pass(&c, 3);
    struct keyfile k;
    struct err err;

    (void)state;
    sh("openssl ec -in p256.pem -aes256 -out f" PO);
    const struct bytes *b = slurp("f");
    assert_false(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_int_equal(c.asked, 3);
    assert_int_equal(err.code, ERR_DENIED);
    three = canned_pass(&c, 1);
    assert_false(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_int_equal(c.asked, 1);
    /* nobody is asked twice about what no passphrase would mend, or for what is in the clear */
    c.text = PASSWORD;
    three = canned_pass(&c, 3);
    assert_true(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_int_equal(c.asked, 1);
    keyfile_free(&k);
    sh("openssl ecparam -name secp256k1 -genkey -noout | openssl ec -aes256 -out f" PO);
    b = slurp("f");
    three = canned_pass(&c, 3);
    assert_false(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_int_equal(c.asked, 1);
    b = slurp("rsa.pem");
    three = canned_pass(&c, 3);
    assert_true(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_int_equal(c.asked, 0);
    keyfile_free(&k);
    /* an error of the source is the error, not one of the file's */
    c.text = NULL;
    three = canned_pass(&c, 3);
    sh("openssl ec -in p256.pem -aes256 -out f" PO);
    b = slurp("f");
    assert_false(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_string_equal(err.text, "there is none");
    assert_int_equal(c.asked, 1);
    /* a file from Windows */
    c.text = PASSWORD "\r";
    three = canned_pass(&c, 1);
    assert_false(keyfile_parse(b->p, b->n, "f", &three, &k, &err));
    assert_contains(err.hint, "carriage return");
}

/* ---- from files */

static void test_read(void **state)
{
    struct keyfile_pass from_file = {.ask = keyfile_pass_from_file, .attempts = 1};
    struct keyfile k;
    struct err err;
    char pass[512];

    (void)state;
    assert_true(keyfile_read(path_of("p256.pem"), NULL, &k, &err));
    check(&k, "p256");
    keyfile_free(&k);
    /* a last byte 0x0a belongs to the DER */
    uint8_t der[64];
    const struct bytes *b = slurp("ed25519.p8");
    size_t n = b->n;
    memcpy(der, b->p, n);
    der[n - 1] = '\n';
    spill("newline.p8", der, n);
    assert_true(keyfile_read(path_of("newline.p8"), NULL, &k, &err));
    assert_memory_equal(k.pkcs8.bytes, der, n);
    keyfile_free(&k);

    sh(P8 "-in p256.pem -out f");
    snprintf(pass, sizeof(pass), "%s", path_of("pass"));
    from_file.arg = pass;
    assert_true(keyfile_read(path_of("f"), &from_file, &k, &err));
    check(&k, "p256");
    keyfile_free(&k);
    /* a passphrase that others can read is none */
    assert_int_equal(chmod(pass, 0644), 0);
    assert_false(keyfile_read(path_of("f"), &from_file, &k, &err));
    assert_int_equal(err.code, ERR_DENIED);
    assert_contains(err.text, "/pass has mode 0644");
    assert_int_equal(chmod(pass, 0600), 0);

    static const struct {
        const char *make;
        enum err_code code;
        const char *text, *hint;
    } no[] = {
        {"rm -f f", ERR_NOT_FOUND, "cannot open", ""},
        {"mkdir f", ERR_BAD_REQUEST, "is a directory", ""},
        {"rmdir f; head -c 65537 /dev/zero >f", ERR_TOO_LARGE, "more than 64 KiB", "path right"},
        {"head -c 20000 /dev/zero >f", ERR_BAD_REQUEST, "the file is blank", ""},
        {": >f", ERR_BAD_REQUEST, "the file is empty", "path right"},
    };
    for (size_t i = 0; i < COUNT(no); i++) {
        sh(no[i].make);
        assert_false(keyfile_read(path_of("f"), NULL, &k, &err));
        if (err.code != no[i].code || !strstr(err.text, no[i].text) ||
            !strstr(err.hint, no[i].hint))
            fail_msg("'%s': %s; %s", no[i].make, err.text, err.hint);
    }
}

/* stdin has no size: it is read as it comes. */
static void test_stdin(void **state)
{
    static const struct {
        const char *command; /* writes to the pipe */
        const char *text;    /* NULL: read */
    } pipes[] = {
        {"cat rsa.pem", NULL},
        {"head -c 30000 /dev/zero | tr '\\0' '\\n'; sleep 0.05; cat rsa.pem", NULL},
        {"head -c 70000 /dev/zero", "stdin has more than 64 KiB"},
        {"true", "stdin: the file is empty"},
    };
    int own = dup(0);
    struct rlimit limit;

    (void)state;
    bool scarce = getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur < 2 * KEYFILE_MAX;
    for (size_t i = 0; i < COUNT(pipes); i++) {
        char line[256];
        struct keyfile k;
        struct err err;

        snprintf(line, sizeof(line), "cd '%.*s'; { %s; } 2>/dev/null",
                 (int)(strlen(path_of("x")) - 2), path_of("x"), pipes[i].command);
        FILE *f = popen(line, "r");
        assert_non_null(f);
        assert_int_equal(dup2(fileno(f), 0), 0);
        bool ok = keyfile_read("-", NULL, &k, &err);
        assert_int_equal(dup2(own, 0), 0);
        pclose(f);
        if (!ok && scarce && strstr(err.text, "cannot lock"))
            continue; /* where less may be locked (ulimit -l), less is read */
        if (ok != !pipes[i].text || (!ok && !strstr(err.text, pipes[i].text)))
            fail_msg("'%s': %s", pipes[i].command, ok ? "read" : err.text);
        if (ok) {
            check(&k, "rsa");
            keyfile_free(&k);
        }
    }
    close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_unsupported), cmocka_unit_test(test_hints_work),
        cmocka_unit_test(test_truncated),   cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_damaged_rsa), cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_read),        cmocka_unit_test(test_stdin),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}

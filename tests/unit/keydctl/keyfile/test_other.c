/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that is no private key says what it is. Through keyfile_parse, as a person meets it.
 */
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <stdio.h>

#include "tests/unit/keydctl/keyfile/fixture.h"

/* What programs write. */
static void test_files(void **state)
{
    static const struct {
        const char *make; /* the file f */
        const char *text, *hint;
    } rows[] = {
        {"cp rsa.crt f", "this is a certificate (CN = rsa.example), and no private key", "--cert"},
        {"openssl x509 -in rsa.crt -outform DER -out f", "a certificate (CN = rsa.example)",
         "--cert"},
        {"openssl x509 -in rsa.crt -text -out f", "a certificate (CN = rsa.example)", ""},
        {"openssl x509 -in rsa.crt -trustout -out f", "a certificate", "--cert"},
        {"cat rsa.crt p256.crt >f", "a certificate (CN = rsa.example)", ""},
        {"openssl req -config cnf -new -key rsa.pem -subj /CN=x -out f",
         "a certificate signing request", "openssl req -keyout"},
        {"openssl req -config cnf -new -key rsa.pem -subj /CN=x -outform DER -out f",
         "a certificate signing request", ""},
        {"openssl req -config cnf -new -newhdr -key rsa.pem -subj /CN=x -out f",
         "a certificate signing request", ""},
        {"openssl pkey -in rsa.pem -pubout -out f", "a public key", "private key that belongs"},
        {"openssl pkey -in p256.pem -pubout -outform DER -out f", "a public key", ""},
        {"openssl rsa -in rsa.pem -RSAPublicKey_out -out f", "a public key", ""},
        {"openssl ecparam -name prime256v1 -out f", "a set of parameters, without a private key",
         "keys-generate"},
        {"openssl dhparam -out f -dsaparam 512", "a set of parameters, without a private key", ""},
        {"openssl crl2pkcs7 -nocrl -certfile rsa.crt -out f", "bundle of certificates (PKCS#7)",
         ""},
        {"openssl crl2pkcs7 -nocrl -certfile rsa.crt -outform DER -out f",
         "bundle of certificates (PKCS#7)", ""},
        {"openssl rsa -in rsa.pem -outform MSBLOB -out f", "Microsoft's BLOB format",
         "openssl rsa -inform MSBLOB"},
        {"openssl rsa -in rsa.pem -pubout -outform MSBLOB -out f", "a public key", ""},
        {"openssl rsa -provider default -provider legacy -in rsa.pem -outform PVK -pvk-none -out f",
         "Microsoft's PVK format", "openssl rsa -inform PVK"},
        {"openssl pkcs12 -export -nokeys -in rsa.crt -passout pass: -out f",
         "holds certificates, but no private key", "export it again"},
        {"base64 rsa.p8 >f", "base64 without its BEGIN and END lines", "base64 -d"},
        {"sed s/^-----/----/ rsa.pem >f", "its BEGIN line is damaged", "five hyphens"},
        {"grep -v END rsa.pem >f", "the text breaks off: its \"PRIVATE KEY\" has no whole END line",
         "copy the file again"},
        {"sed 's/-----END P/-----END RSA P/' rsa.pem >f", "ends as \"RSA PRIVATE KEY\"", ""},
        {"sed 5d rsa.pem >f", "the file breaks off", ""},
        {"sed '5s/./*/' rsa.pem >f", "the PEM holds a '*'", ""},
        {"cat rsa.pem p256.pem >f", "it holds 2 private keys", "file of its own"},
        {"cat rsa.pem >f; head -3 p256.pem >>f; echo x >>f", "no whole END line", ""},
        {"awk '{printf \"%s\\\\n\", $0}' rsa.pem >f", "line breaks are written as \\n", "printf"},
        {"iconv -f UTF-8 -t UTF-16 rsa.pem >f", "text in UTF-16", "iconv"},
        {"gzip <rsa.pem >f", "compressed by gzip", "gunzip"},
        {"{ cat rsa.p8; echo; } >f", "1 bytes follow", ""},
        {"tr -d '\\r' <rsa.crt | openssl x509 -outform DER | { cat; echo; } >f", "1 bytes follow",
         "copied as text"},
        {"openssl enc -aes-256-cbc -pbkdf2 -pass file:pass -in rsa.pem -out f",
         "encrypted by openssl enc", "openssl enc -d"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        sh(rows[i].make);
        const struct bytes *b = slurp("f");
        must_refuse(b->p, b->n, NULL, ERR_BAD_REQUEST, rows[i].text, rows[i].hint);
    }
}

/* What stands in memory as a few bytes. */
static void test_bytes(void **state)
{
#define PEM(label) "-----BEGIN " label "-----\nQUJD\n-----END " label "-----\n"
    static const struct {
        const char *bytes;
        size_t n; /* 0: a string */
        const char *text, *hint;
    } rows[] = {
        {"", 0, "the file is empty", "path right"},
        {" \r\n\t\n", 0, "the file is blank", "path right"},
        {"\0\0\0", 3, "the file is blank", ""},
        {"<!DOCTYPE html><html>404</html>", 0, "a web page (HTML)", "fetch the file again"},
        {"\n <HTML>", 0, "a web page (HTML)", ""},
        {"<RSAKeyValue>", 0, "this is XML", ""},
        {"{\"kty\":\"RSA\"}", 0, "JSON (a JWK?)", "PEM, DER and PKCS#12"},
        {"ssh-ed25519 AAAAC3Nza x@y\n", 0, "an SSH public key", ""},
        {"ecdsa-sha2-nistp256 AAAA x@y\n", 0, "an SSH public key", ""},
        {"PuTTY-User-Key-File-3: ssh-ed25519\n", 0, "a PuTTY private key", "puttygen"},
        {"pkcs11:token=x;object=y", 0, "the name of a key in a PKCS#11 token", "keys-adopt"},
        {"\xfe\xed\xfe\xed\0\0\0\2", 8, "a Java key store", "keytool -importkeystore"},
        {"PK\3\4rest", 0, "a ZIP archive", "unzip"},
        {"\x7f"
         "ELF\2\1\1",
         0, "a program", ""},
        {"%PDF-1.4\n", 0, "a PDF document", ""},
        {"\x30\x80\x02\x01\x00", 5, "DER, but no private key", ""},
        {"\x30\x82\x04\xa4\x02\x01\x00", 7, "the file breaks off: 7 bytes of 1192",
         "copy the file again"},
        {"\x30\x03\x02\x01\x07xyz", 8, "3 bytes follow the 5", "in binary"},
        {"\x30\x03\x02\x01\x07", 5, "DER, but no private key that keydctl knows", "PKCS#12"},
        {"\x01\x02\x03\x04", 4, "binary data of no form", "PEM, DER and PKCS#12"},
        {"hello world\n", 0, "text without a private key", "-----BEGIN PRIVATE KEY-----"},
        {"Subject: your PRIVATE KEY\n", 0, "its BEGIN line is damaged", ""},
        {PEM("OPENSSH PRIVATE KEY"), 0, "an SSH private key", "ssh-keygen -p -m PKCS8"},
        {PEM("SSH2 PUBLIC KEY"), 0, "an SSH public key", ""},
        {PEM("KEYD KEY REFERENCE"), 0, "a key reference: its private key is in keyd already",
         "keys-list"},
        {PEM("PGP PRIVATE KEY BLOCK"), 0, "an OpenPGP file", ""},
        {PEM("X509 CRL"), 0, "a certificate revocation list", ""},
        {PEM("TSS2 PRIVATE KEY"), 0, "a key that only its TPM can use", "keys-generate"},
        {PEM("PKCS#11 PROVIDER URI"), 0, "the name of a key in a PKCS#11 token", "keys-adopt"},
        {PEM("CERTIFICATE"), 0, "this is a certificate, and no private key", "--cert"},
        {PEM("SOMETHING ELSE"), 0, "a PEM block \"SOMETHING ELSE\"", "-----BEGIN PRIVATE KEY"},
        {PEM("PRIVATE KEY"), 0, "between its BEGIN and END lines is no private key", ""},
        {"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", 0,
         "between its BEGIN and END lines", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        must_refuse(rows[i].bytes, rows[i].n ? rows[i].n : strlen(rows[i].bytes), NULL,
                    ERR_BAD_REQUEST, rows[i].text, rows[i].hint);
}

/* A subject from a stranger's certificate is text and no more: no control character of it reaches
 * the sentence. */
static void test_subject(void **state)
{
    struct keyfile k;
    struct err err;

    (void)state;
    sh("openssl req -config cnf -x509 -key p256.pem -utf8 -subj \"/CN=a$(printf '\\033')[31mb\""
       " -out f");
    const struct bytes *b = slurp("f");
    assert_false(keyfile_parse(b->p, b->n, "f", NULL, &k, &err));
    assert_contains(err.text, "(CN = a\\1B[31mb)");
}

/* A PFX with two keys, which the openssl command reads but does not write. */
static void test_two_keys(void **state)
{
    STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    STACK_OF(PKCS7) *safes = NULL;
    static const char *const names[] = {"p256.p8", "ed25519.p8"};
    uint8_t *der = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct bytes *b = slurp(names[i]);
        const uint8_t *at = b->p;
        EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)b->n);

        assert_non_null(PKCS12_add_key(&bags, key, 0, 1, NID_aes_256_cbc, PASSWORD));
        EVP_PKEY_free(key);
    }
    assert_int_equal(PKCS12_add_safe(&safes, bags, -1, 0, NULL), 1);
    PKCS12 *pfx = PKCS12_add_safes(safes, 0);
    assert_int_equal(PKCS12_set_mac(pfx, PASSWORD, -1, NULL, 0, 1, EVP_sha256()), 1);
    int n = i2d_PKCS12(pfx, &der);
    assert_true(n > 0);
    must_refuse(der, (size_t)n, PASSWORD, ERR_BAD_REQUEST, "the PKCS#12 file holds 2 private keys",
                "openssl pkcs12 -in FILE -nocerts");
    OPENSSL_free(der);
    PKCS12_free(pfx);
    sk_PKCS7_pop_free(safes, PKCS7_free);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_two_keys),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}

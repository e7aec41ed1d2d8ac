/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfile: a private key out of a file, of every form that OpenSSL writes and a few that others do;
 * and for a file that holds none, what it holds instead. This is the one place of keydctl where a
 * key is seen in the clear: what it gives is one struct secret, and nothing else stays behind.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_KEYFILE_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_KEYFILE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/secret.h"

#define KEYFILE_MAX    (64u << 10) /* bytes of a file that are looked at */
#define KEYFILE_ID_LEN 32

struct keyfile {
    struct secret pkcs8; /* PrivateKeyInfo (RFC 5208 5) in DER, written anew: version 0, the curve
                          * named, no attributes */
    int type;            /* enum keyd_key_type */
    const char *words;   /* "RSA-2048", "EC P-256", "Ed25519"; static */
    const char *form;    /* "PKCS#1", "encrypted PKCS#8", "PKCS#12", ...; static */
    uint8_t *spki;       /* DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7) */
    size_t spki_len;
    uint8_t id[KEYFILE_ID_LEN]; /* SHA-256 over spki */
};

/* Where passphrases come from. */
struct keyfile_pass {
    /* Gives the passphrase for the file, the attempt-th one (from 1). */
    bool (*ask)(void *arg, const char *file, unsigned attempt, struct secret *ret, struct err *err);
    void *arg;
    unsigned attempts;   /* how often it may be asked when the passphrase is wrong */
    uint64_t max_rounds; /* of a key derivation that the file may cost us; 0: KEYFILE_MAX_ROUNDS */
};

#define KEYFILE_MAX_ROUNDS 10000000 /* iterations of a hash; seconds */

/* Makes the process fit for keys in the clear: what libcrypto frees is wiped first, openssl.cnf is
 * not read (so that no other provider or engine gets to see a key), no core file is written and no
 * one else's debugger attaches. Once, before anything in the process uses libcrypto. */
bool keyfile_begin(struct err *err) MUST_USE;

/* Overwrites what calls have left on the stack below the caller's frame, 64 KiB of it. */
void keyfile_scrub(void);

/* Reads the file at path, or stdin for "-". See keyfile_parse; also ERR_NOT_FOUND,
 * ERR_STORAGE, ERR_TOO_LARGE. */
bool keyfile_read(const char *path, const struct keyfile_pass *pass, struct keyfile *ret,
                  struct err *err) MUST_USE;

/* Reads n bytes of a file that errors call `name`. pass may be NULL: then an encrypted key is an
 * error. ERR_BAD_REQUEST: there is no whole private key in it, and what there is instead;
 * ERR_UNSUPPORTED: a key that keyd does not keep, or an encryption that OpenSSL's default provider
 * cannot undo; ERR_DENIED: the passphrase is missing or wrong. *ret is ended with keyfile_free. */
bool keyfile_parse(const uint8_t *p, size_t n, const char *name, const struct keyfile_pass *pass,
                   struct keyfile *ret, struct err *err) MUST_USE;

/* Wipes and frees; an empty one is fine. */
void keyfile_free(struct keyfile *key);

/* Whether the certificate in the file at path ("-": stdin; PEM or DER, the first one of a chain) is
 * for the key from `key_name`. ERR_CONFLICT names both fingerprints. */
bool keyfile_check_cert(const char *path, const struct keyfile *key, const char *key_name,
                        struct err *err) MUST_USE;

/* As keyfile_check_cert, of n bytes of a file that errors call `name`. */
bool keyfile_check_cert_bytes(const uint8_t *p, size_t n, const char *name,
                              const struct keyfile *key, const char *key_name,
                              struct err *err) MUST_USE;

/* Passphrases from a file; arg is its path ("-": stdin). One newline at the end is no part of it.
 */
bool keyfile_pass_from_file(void *arg, const char *file, unsigned attempt, struct secret *ret,
                            struct err *err) MUST_USE;

/* Asks for any secret at the terminal, without echo. ERR_DENIED: there is no terminal. */
bool keyfile_ask(const char *prompt, struct secret *ret, struct err *err) MUST_USE;

/* Passphrases from the terminal, never from stdin; arg is not used. */
bool keyfile_pass_from_terminal(void *arg, const char *file, unsigned attempt, struct secret *ret,
                                struct err *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd.h: the C client library of keyd, the key custody service.
 *
 * A client is a handle on one socket of keyd: keyd.sock for signatures in TLS handshakes,
 * control.sock for everything else. It may be used by any number of threads at once. It starts no
 * thread, installs no signal or fork handler and keeps no lock across a call; it connects at the
 * first call, again after a failure, and anew in a forked child. The socket's directory is opened
 * when the client is made, so that connecting works after chroot(2) and after keyd's restart.
 *
 * Calls block until the answer or the deadline. They return KEYD_OK (0) or a code, and fill `error`
 * (which may be NULL). Output parameters are untouched on failure. Strings are UTF-8.
 *
 * When keyd cannot be reached or the connection breaks, the call is tried again within its
 * deadline:
 *   - keyd_ping, keyd_sign, keyd_sign_batch, keyd_get_public_key until the deadline itself (keyd
 *     restarts in about a second: a handshake that waits is better off than one that fails), also
 *     when keyd says that it is busy and when to come back. When keyd was away for a whole
 *     deadline, later calls try once and fail at once until it is back;
 *   - the verbs of management find out within a second that nobody is there;
 *   - verbs that change something are never sent twice. One that was under way when the
 *     connection broke fails with KEYD_UNAVAILABLE (without an answer: KEYD_DEADLINE), and may
 *     have been done all the same.
 *
 * In a chroot keyd is reached through the directory that was opened before. The calling thread's
 * file system context is made its own for that (unshare(2), CLONE_FS): from then on a chdir, chroot
 * or umask of another thread no longer affects it. Nothing of it happens while the path itself
 * leads to the socket.
 */
#ifndef KEYD_H
#define KEYD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEYD_KEY_ID_LEN    32   /* SHA-256 over the DER SubjectPublicKeyInfo */
#define KEYD_SIGNATURE_MAX 1024 /* bytes of the longest signature of any scheme */
#define KEYD_SPKI_MAX      1024 /* bytes of the longest SubjectPublicKeyInfo */

/* Codes, as in keyd.proto: 1 to 31 refused (the same call is refused again), 32 to 63 it may work
 * later, 64 and up something is broken. Never renumbered. */
enum keyd_code {
    KEYD_OK = 0,
    KEYD_BAD_REQUEST = 1,
    KEYD_UNSUPPORTED = 2,
    KEYD_DENIED = 3,
    KEYD_NOT_FOUND = 4,
    KEYD_AMBIGUOUS = 5,
    KEYD_EXISTS = 6,
    KEYD_CONFLICT = 7,
    KEYD_BAD_SHAPE = 8,
    KEYD_BAD_SCHEME = 9,
    KEYD_TOO_LARGE = 10,
    KEYD_BUSY = 32,
    KEYD_DEADLINE = 33,
    KEYD_UNAVAILABLE = 34, /* also: keyd cannot be reached, or the connection broke */
    KEYD_INTERNAL = 64,
    KEYD_TOKEN = 65,
    KEYD_STORAGE = 66,
};

struct keyd_error {
    int code;                /* enum keyd_code */
    uint32_t retry_after_ms; /* 0: unsaid */
    char message[320];       /* what was wrong */
    char hint[192];          /* what to do about it; may be empty */
};

/* The name of a code, "BUSY"; a static string. */
const char *keyd_code_name(int code);

struct keyd_client;

/* Makes a client for the socket at `path` (absolute, at most 107 bytes; NULL: the system's
 * keyd.sock). `deadline_ms` is the time that each call may take, connecting included (0: 2000).
 * `name` (program and version; NULL: none) stands in keyd's log. Connects to nothing yet: a daemon
 * that is down is no error here, a directory that is not there yet neither.
 * Fails with KEYD_BAD_REQUEST or KEYD_INTERNAL. Free with keyd_client_free. */
int keyd_client_new(struct keyd_client **ret, const char *path, uint32_t deadline_ms,
                    const char *name, struct keyd_error *error);

/* Closes the connections of this process and frees. NULL is fine. No call may be under way. In a
 * forked child: the parent's connections go on. */
void keyd_client_free(struct keyd_client *client);

/* Asks keyd for a sign of life. */
int keyd_ping(struct keyd_client *client, struct keyd_error *error);

/* ---- signatures */

/* Signs `message`, the whole to-be-signed message and never a digest, with the key of that id.
 * `scheme` is an IANA TLS SignatureScheme (RFC 8446 4.2.3). *sig_len is the room at sig and
 * becomes the signature's length; KEYD_SIGNATURE_MAX always fits. ECDSA signatures are DER
 * (RFC 3279 2.2.3). keyd signs only what it recognises: see proto/README.md. */
int keyd_sign(struct keyd_client *client, const uint8_t key_id[KEYD_KEY_ID_LEN], uint16_t scheme,
              const uint8_t *message, size_t message_len, uint8_t *sig, size_t *sig_len,
              struct keyd_error *error);

/* One signature of a batch: the first block is the caller's, the second is the answer. */
struct keyd_sign_item {
    uint8_t key_id[KEYD_KEY_ID_LEN];
    uint16_t scheme;
    const uint8_t *message;
    size_t message_len;

    int code; /* enum keyd_code of this item */
    size_t sig_len;
    uint8_t sig[KEYD_SIGNATURE_MAX];
};

/* Signs `count` messages over one connection, all in flight at once as far as keyd allows. Returns
 * KEYD_OK when every item has one, else the code of the first that failed, which `error` is about;
 * each item holds its own code. */
int keyd_sign_batch(struct keyd_client *client, struct keyd_sign_item *items, size_t count,
                    struct keyd_error *error);

/* Gets a key's DER SubjectPublicKeyInfo. *spki_len is the room at spki and becomes the length;
 * KEYD_SPKI_MAX always fits. */
int keyd_get_public_key(struct keyd_client *client, const uint8_t key_id[KEYD_KEY_ID_LEN],
                        uint8_t *spki, size_t *spki_len, struct keyd_error *error);

/* ---- key references */

/* Reads the DER body of a key reference (PEM label KEYD KEY REFERENCE). *ret_spki points into der.
 * Needs no daemon. Fails with KEYD_BAD_REQUEST or KEYD_UNSUPPORTED. */
int keyd_ref_decode(const uint8_t *der, size_t len, uint8_t ret_id[KEYD_KEY_ID_LEN],
                    const uint8_t **ret_spki, size_t *ret_spki_len, struct keyd_error *error);

/* Writes the PEM of the key reference for a SubjectPublicKeyInfo. *ret_pem is freed with
 * keyd_free. */
int keyd_ref_encode(const uint8_t *spki, size_t spki_len, char **ret_pem, struct keyd_error *error);

/* Frees what a function of this library returned as "freed with keyd_free". NULL is fine. */
void keyd_free(void *p);

/* ---- management, over control.sock */

enum keyd_key_type {
    KEYD_KEY_RSA_2048 = 1,
    KEYD_KEY_RSA_3072 = 2,
    KEYD_KEY_RSA_4096 = 3,
    KEYD_KEY_EC_P256 = 4,
    KEYD_KEY_EC_P384 = 5,
    KEYD_KEY_ED25519 = 6,
};

/* The type with that name ("ec-p256", "rsa-2048", ...); 0 if there is none. */
int keyd_key_type_by_name(const char *name);

/* The name of a type; NULL if there is no such type. A static string. */
const char *keyd_key_type_name(int type);

/* The i-th purpose bit's name ("tls13-server"), for i from 0; NULL past the last. */
const char *keyd_purpose_name(unsigned bit);

enum keyd_key_state {
    KEYD_KEY_ENABLED = 1,
    KEYD_KEY_MISSING = 2,  /* registered, but the token does not show it */
    KEYD_KEY_DISABLED = 3, /* signs nothing until it is enabled again */
    KEYD_KEY_DESTROYED = 4
};

struct keyd_tenant {
    char *name;
    uint64_t created; /* seconds since 1970, UTC */
    uint32_t keys;
};

struct keyd_key {
    uint8_t id[KEYD_KEY_ID_LEN];
    char *tenant;
    char *name;
    int type;          /* enum keyd_key_type */
    uint32_t purposes; /* bit i is the purpose that keyd_purpose_name(i) names */
    int state;         /* enum keyd_key_state */
    uint64_t created;  /* seconds since 1970, UTC */
    uint8_t *spki;     /* DER SubjectPublicKeyInfo; NULL in lists */
    size_t spki_len;
    uint8_t *cka_id; /* CKA_ID in the token; NULL in lists */
    size_t cka_id_len;
    char **allowed_names; /* it may ask certificates for these alone, see keyd_key_rules */
    size_t allowed_name_count;
};

/* What a new key may do: fixed when it is made. All zero: keyd's defaults. */
struct keyd_key_rules {
    uint32_t purposes; /* bits as in keyd_key; 0: tls13-server, tls12-server and csr */
    /* DNS names that it may ask certificates for: "www.example.com"; "*.example.com", one label
     * before it; ".example.com", any number of labels. None: any name. */
    const char *const *allowed_names;
    size_t allowed_name_count;
};

struct keyd_attribute {
    char *name;  /* "CKA_SENSITIVE" */
    char *value; /* in words */
};

struct keyd_object {
    char *cls;   /* "CKO_PRIVATE_KEY" */
    char *label; /* CKA_LABEL */
    uint8_t *cka_id;
    size_t cka_id_len;
    char *key; /* "tenant/name" if keyd knows it, else "" */
    struct keyd_attribute *attributes;
    size_t attribute_count;
};

struct keyd_process {
    char *name;
    uint32_t pid; /* 0: not running now */
    char *state;
    uint64_t uptime_ms;
    uint32_t restarts;
    char *last_exit;             /* why the one before it ended; "": none did */
    uint64_t signatures, failed; /* signers: since its start */
    int silent; /* not 0: it is ready, but did not say how it is doing within a second */
};

/* Signatures by one scheme, of all signers that run now. Times are the signers' own, without
 * waiting in keyd's queue; percentiles are good to 6 %. */
struct keyd_scheme_status {
    uint32_t scheme;                       /* IANA TLS SignatureScheme */
    char *name;                            /* "ecdsa_secp256r1_sha256" */
    uint64_t total;                        /* since each signer's start */
    double per_second_10s, per_second_60s; /* over the last 10 s, 60 s, or since its start */
    uint32_t p50_us, p90_us, p99_us;
};

/* A process that ended without being asked to. */
struct keyd_exit {
    char *process;
    uint64_t at; /* seconds since 1970, UTC */
    char *why;
};

struct keyd_status {
    char *version;
    uint64_t uptime_ms;
    struct keyd_process *processes;
    size_t process_count;
    struct {
        char *label, *manufacturer, *model, *serial, *module;
        char **key_types; /* what it can generate */
        size_t key_type_count;
        char **notes;
        size_t note_count;
    } token;
    struct {
        uint32_t waiting, at_signers, connections;
        uint64_t signed_total, refused_total, busy_total, retried_total;
    } queue;
    uint32_t tenants, keys, keys_missing;
    struct keyd_scheme_status *schemes; /* those that were used */
    size_t scheme_count;
    struct keyd_exit *exits; /* the last one first */
    size_t exit_count;
};

/* Makes a tenant. Fails with KEYD_EXISTS, or KEYD_BAD_REQUEST for a name that cannot be one. */
int keyd_tenants_add(struct keyd_client *client, const char *name, struct keyd_error *error);

/* All tenants by name. *ret is freed with keyd_tenants_free. */
int keyd_tenants_list(struct keyd_client *client, struct keyd_tenant **ret, size_t *ret_count,
                      struct keyd_error *error);

/* Frees a list of tenants. */
void keyd_tenants_free(struct keyd_tenant *tenants, size_t count);

/* Generates a key in the token; rules NULL: the defaults. Takes up to a few seconds for RSA: give
 * the client such a deadline. *ret is freed with keyd_keys_free(ret, 1). */
int keyd_keys_generate(struct keyd_client *client, const char *tenant, const char *name, int type,
                       const struct keyd_key_rules *rules, struct keyd_key **ret,
                       struct keyd_error *error);

/* The keys of one tenant (NULL: of all), by tenant and name. Freed with keyd_keys_free. */
int keyd_keys_list(struct keyd_client *client, const char *tenant, struct keyd_key **ret,
                   size_t *ret_count, struct keyd_error *error);

/* One key, named "tenant/name" or by 8 or more hex digits of its id. Freed with
 * keyd_keys_free(ret, 1). */
int keyd_keys_show(struct keyd_client *client, const char *key, struct keyd_key **ret,
                   struct keyd_error *error);

/* Switches a key off, on again, or destroys it in the token for good. When the call has returned
 * KEYD_OK, it is so in every process of keyd: nothing signs any more with a key that was taken
 * away. A key that something uses is not destroyed: KEYD_CONFLICT names it. *ret is the key as it
 * is now (as it was, for a destroyed one), freed with keyd_keys_free(ret, 1). */
int keyd_keys_disable(struct keyd_client *client, const char *key, struct keyd_key **ret,
                      struct keyd_error *error);
/* See keyd_keys_disable. */
int keyd_keys_enable(struct keyd_client *client, const char *key, struct keyd_key **ret,
                     struct keyd_error *error);
/* See keyd_keys_disable. */
int keyd_keys_destroy(struct keyd_client *client, const char *key, struct keyd_key **ret,
                      struct keyd_error *error);

/* Frees a list of keys. */
void keyd_keys_free(struct keyd_key *keys, size_t count);

/* ---- importing keys */

#define KEYD_PKCS8_MAX 16384 /* bytes of the longest PKCS#8 that keyd_keys_import looks at */

/* The key in the token that others are wrapped for. `id` is its fingerprint: an import names the
 * one that it trusts, which came another way or was kept from the first time. */
struct keyd_import_key {
    uint8_t id[KEYD_KEY_ID_LEN]; /* SHA-256 over spki */
    uint8_t *spki;               /* DER SubjectPublicKeyInfo, RSA */
    size_t spki_len;
    uint64_t created; /* seconds since 1970, UTC */
    int *types;       /* enum keyd_key_type: what the token can take in */
    size_t type_count;
};

/* The import key as it is now. The first time keyd makes it in the token, which takes seconds: give
 * the client such a deadline. Fails with KEYD_UNSUPPORTED when the token cannot unwrap. Freed with
 * keyd_import_key_free. */
int keyd_import_key(struct keyd_client *client, struct keyd_import_key **ret,
                    struct keyd_error *error);

/* Makes a new import key, and gives it as keyd_import_key does. Imports that were begun with the
 * one before it may still be finished. */
int keyd_import_key_rotate(struct keyd_client *client, struct keyd_import_key **ret,
                           struct keyd_error *error);

/* Frees an import key. NULL is fine. */
void keyd_import_key_free(struct keyd_import_key *key);

/* Imports a private key: DER PrivateKeyInfo (PKCS#8, RFC 5208), not encrypted, nothing after it; it
 * stays the caller's, who keeps it in memory that is locked and wiped. The key leaves the process
 * only wrapped for keyd's import key, whose fingerprint must be `import_key`; beside it goes a
 * signature by the key itself, over the wrapped bytes, tenant and name (proto/README.md, Import).
 * What the library itself keeps of the key meanwhile is wiped before it returns. rules: as
 * keyd_keys_generate.
 * Fails with KEYD_BAD_REQUEST for what is no private key or cannot be unwrapped, KEYD_UNSUPPORTED
 * for a type that keyd or its token does not take, KEYD_DENIED when keyd shows another import key
 * (names both; nothing was sent), KEYD_EXISTS when the name is taken or the tenant has this key
 * already (says under which name), KEYD_CONFLICT when it cannot be imported at all. *ret is freed
 * with keyd_keys_free(ret, 1). */
int keyd_keys_import(struct keyd_client *client, const char *tenant, const char *name,
                     const struct keyd_key_rules *rules, const uint8_t import_key[KEYD_KEY_ID_LEN],
                     const uint8_t *pkcs8, size_t pkcs8_len, struct keyd_key **ret,
                     struct keyd_error *error);

/* A PKCS#10 request (RFC 2986) signed in the token. subject: "CN=www.example.com,O=Acme" (RFC 4514)
 * or "/O=Acme/CN=www.example.com"; sans: DNS names. *ret_pem is freed with keyd_free. */
int keyd_create_csr(struct keyd_client *client, const char *key, const char *subject,
                    const char *const *sans, size_t san_count, char **ret_pem,
                    struct keyd_error *error);

/* Every object in the token. Freed with keyd_objects_free. */
int keyd_token_objects(struct keyd_client *client, struct keyd_object **ret, size_t *ret_count,
                       struct keyd_error *error);

/* Frees a list of objects. */
void keyd_objects_free(struct keyd_object *objects, size_t count);

/* How keyd is doing. Freed with keyd_status_free. */
int keyd_status(struct keyd_client *client, struct keyd_status **ret, struct keyd_error *error);

/* Frees a status. */
void keyd_status_free(struct keyd_status *status);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd.h: the C client library of keyd, the key custody service.
 *
 * A client is a handle on one socket of keyd, or one of its TLS listeners: keyd.sock for signatures
 * in TLS handshakes, control.sock for everything else. It may be used by any number of threads at
 * once. It starts no thread, installs no signal or fork handler and keeps no lock across a call; it
 * connects at the first call, again after a failure, and anew in a forked child. The socket's
 * directory is opened when the client is made, so that connecting works after chroot(2) and after
 * keyd's restart.
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

#include <stdbool.h>
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

/* What a client is made of. All but what differs from the default may be left 0. */
struct keyd_options {
    /* "unix:/path" or "/path": a socket of keyd on this machine, absolute, at most 107 bytes.
     * "tls:host:port", "tls:192.0.2.7:7443", "tls:[2001:db8::7]:7443": a keyd elsewhere, over
     * TLS 1.3. NULL: the system's keyd.sock. */
    const char *endpoint;
    uint32_t deadline_ms; /* the time that each call may take, connecting included; 0: 2000 */
    const char *name;     /* program and version, for keyd's log; NULL: none */
    /* For tls: files in PEM, read now and not again. `ca`: who has certified keyd, whose
     * certificate must be for the host or address of the endpoint. Certificate and key: who this
     * client is; without them it needs a token. A key that other users can read is refused. */
    const char *certificate, *key, *ca;
    /* An API token, or the file that holds one and that other users cannot read. Copied; the copy
     * is wiped with the client. */
    const char *token, *token_file;
};

/* Makes a client. Connects to nothing yet: a daemon that is down is no error here, a directory of a
 * socket that is not there yet neither. The name of a host is looked up at each connection, by
 * getaddrinfo(3). Fails with KEYD_BAD_REQUEST, KEYD_DENIED (a file that others can read),
 * KEYD_STORAGE or KEYD_INTERNAL. Free with keyd_client_free. */
int keyd_client_open(struct keyd_client **ret, const struct keyd_options *options,
                     struct keyd_error *error);

/* keyd_client_open with an endpoint, a deadline and a name. */
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
    int adopted;          /* not 0: the token had it before keyd knew it */
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

enum keyd_severity {
    KEYD_NOTE = 1,    /* worth knowing */
    KEYD_WARNING = 2, /* to be looked into */
    KEYD_DANGER = 3   /* a key of keyd's is not as safe as it should be, or not there */
};

/* What is not as it should be with an object or a key. */
struct keyd_finding {
    int severity; /* enum keyd_severity */
    char *kind;   /* "extractable" */
    char *object; /* "tenant/name" if keyd knows it, else its label */
    uint8_t *cka_id;
    size_t cka_id_len;
    char *text;   /* what is wrong */
    char *advice; /* what to do about it */
};

/* What a generation that was cut short has left in the token. */
struct keyd_fragment {
    uint8_t *id;
    size_t id_len;
    char *what; /* in words */
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

/* How often somebody was turned away for one reason, since the start of the gate. */
struct keyd_refusal {
    char *reason; /* "client certificate expired", "sign: BAD_SHAPE" */
    uint64_t count;
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
    struct keyd_refusal *refusals; /* of both gates */
    size_t refusal_count;
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

/* ---- who is who, and who may what */

enum keyd_role {
    KEYD_ROLE_OPERATOR = 1,
    KEYD_ROLE_FRONTEND = 2, /* signs handshakes with the keys that it was granted */
    KEYD_ROLE_TENANT = 4,
    KEYD_ROLE_AGENT = 8,
    KEYD_ROLE_ISSUER = 16,
    KEYD_ROLE_AUDITOR = 32,
};

/* The role with that name ("auditor"); 0 if there is none. */
int keyd_role_by_name(const char *name);

/* The name of a role; NULL if there is no such role. A static string. */
const char *keyd_role_name(int role);

struct keyd_principal {
    char *name;
    int role;             /* enum keyd_role */
    char *tenant;         /* of a tenant; else "" */
    char *group;          /* of frontends; may be "" */
    char *proof;          /* "user=www-data": how it proves itself */
    uint32_t connections; /* in lists: open now at the gate that was asked */
};

struct keyd_whoami {
    struct keyd_principal principal;
    char **may; /* what it may call here, and in what scope, in words */
    size_t may_count;
};

/* Who keyd thinks one is, how it knows, and what one may do. Freed with keyd_whoami_free. */
int keyd_whoami(struct keyd_client *client, struct keyd_whoami **ret, struct keyd_error *error);

/* Frees. NULL is fine. */
void keyd_whoami_free(struct keyd_whoami *whoami);

/* The rules who is who, in the order in which keyd tries them. Freed with keyd_principals_free. */
int keyd_principals_list(struct keyd_client *client, struct keyd_principal **ret, size_t *ret_count,
                         struct keyd_error *error);

/* Frees a list of principals. */
void keyd_principals_free(struct keyd_principal *principals, size_t count);

/* Which frontends may use which keys. */
struct keyd_grant {
    uint64_t id;
    char *principal; /* a frontend, or "" and */
    char *group;     /* a group of frontends */
    char *key;       /* "tenant/name", or "" and */
    char *tenant;    /* all keys of this tenant */
    uint32_t purposes;
    uint64_t created; /* seconds since 1970, UTC */
};

/* Grants: one of principal and group, one of key and tenant, the other ones NULL. purposes 0:
 * tls13-server and tls12-server. It is in force when this returns. Freed with keyd_grants_free. */
int keyd_grants_add(struct keyd_client *client, const char *principal, const char *group,
                    const char *key, const char *tenant, uint32_t purposes, struct keyd_grant **ret,
                    struct keyd_error *error);

/* The grants of a principal or group (NULL: of all), on a key (NULL: on all), by id. Freed with
 * keyd_grants_free. */
int keyd_grants_list(struct keyd_client *client, const char *principal, const char *key,
                     struct keyd_grant **ret, size_t *ret_count, struct keyd_error *error);

/* Takes a grant away: when this returns KEYD_OK no connection has it any more. *ret is what it was,
 * freed with keyd_grants_free. */
int keyd_grants_remove(struct keyd_client *client, uint64_t id, struct keyd_grant **ret,
                       struct keyd_error *error);

/* Frees a list of grants. */
void keyd_grants_free(struct keyd_grant *grants, size_t count);

struct keyd_token {
    char *id;   /* 8 hex digits */
    char *name; /* of the principal that it is */
    int role;   /* enum keyd_role */
    char *tenant;
    uint64_t created, expires; /* seconds since 1970, UTC */
    uint64_t last_used;        /* to the minute; 0: never */
};

/* Makes an API token. role 0: tenant, which must be named then. days 0: 90. *ret_secret, the token
 * itself, is shown this once; the caller wipes it and frees it with keyd_free. *ret is freed with
 * keyd_tokens_free. */
int keyd_tokens_create(struct keyd_client *client, const char *name, int role, const char *tenant,
                       uint32_t days, struct keyd_token **ret, char **ret_secret,
                       struct keyd_error *error);

/* All tokens by id. Freed with keyd_tokens_free. */
int keyd_tokens_list(struct keyd_client *client, struct keyd_token **ret, size_t *ret_count,
                     struct keyd_error *error);

/* Revokes: when this returns KEYD_OK nobody gets in with it, and connections that did are being
 * cut. *ret is what it was, freed with keyd_tokens_free. */
int keyd_tokens_revoke(struct keyd_client *client, const char *id, struct keyd_token **ret,
                       struct keyd_error *error);

/* Frees a list of tokens. */
void keyd_tokens_free(struct keyd_token *tokens, size_t count);

struct keyd_granted_key {
    char *key; /* "tenant/name" */
    int type;  /* enum keyd_key_type */
    int state; /* enum keyd_key_state */
    uint32_t purposes;
};

struct keyd_config_test {
    struct keyd_principal principal;
    struct keyd_granted_key *keys; /* at most 1,000 */
    size_t key_count;
    uint32_t keys_total;
    char **missing; /* in words, what keeps it from serving; none: nothing does */
    size_t missing_count;
};

/* What a frontend (NULL: the caller) could do now, and what is missing for it to serve. Freed with
 * keyd_config_test_free. */
int keyd_config_test(struct keyd_client *client, const char *principal,
                     struct keyd_config_test **ret, struct keyd_error *error);

/* Frees. NULL is fine. */
void keyd_config_test_free(struct keyd_config_test *test);

struct keyd_explain_step {
    char *what; /* "key", "shape", "purpose", "role", "grant", "tenant", "scheme", "names" */
    int passes;
    char *why;
};

/* What keyd would do if this were to be signed with the key (as keyd_keys_show names it), by this
 * scheme (0: any that fits), as this principal (NULL: the caller), and why. Nothing is signed.
 * *ret_signs: whether it would. Freed with keyd_explain_free. */
int keyd_explain(struct keyd_client *client, const uint8_t *message, size_t message_len,
                 const char *key, uint16_t scheme, const char *principal,
                 struct keyd_explain_step **ret, size_t *ret_count, int *ret_signs,
                 struct keyd_error *error);

/* Frees. */
void keyd_explain_free(struct keyd_explain_step *steps, size_t count);

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

/* Every object in the token, and what is not as it should be with them, or is not there though it
 * should: the worst first. ret_findings NULL: they are not wanted. Freed with keyd_objects_free and
 * keyd_findings_free. */
int keyd_token_objects(struct keyd_client *client, struct keyd_object **ret, size_t *ret_count,
                       struct keyd_finding **ret_findings, size_t *ret_finding_count,
                       struct keyd_error *error);

/* Frees a list of objects. */
void keyd_objects_free(struct keyd_object *objects, size_t count);

/* Frees a list of findings. */
void keyd_findings_free(struct keyd_finding *findings, size_t count);

/* What keyd_keys_adopt is to do. */
struct keyd_adopt {
    const char *object; /* RFC 7512 URI of one private key: "pkcs11:object=www" */
    const char *tenant;
    const char *name;
    struct keyd_key_rules rules; /* as keyd_keys_generate */
    const char *const *accept;   /* kinds of findings that are accepted, accept_count of them */
    size_t accept_count;
    int look; /* not 0: only tell what would be adopted */
};

/* Brings a private key under keyd that the token holds already; the object itself is not changed.
 * What is found on it (warnings, dangers) must be accepted: KEYD_DENIED names the kinds that were
 * not. So look first, show it to somebody, then adopt with what was accepted. KEYD_AMBIGUOUS names
 * the objects when several fit. *ret_key is NULL after a look, else freed with keyd_keys_free(key,
 * 1); the object with keyd_objects_free(object, 1), the findings with keyd_findings_free. */
int keyd_keys_adopt(struct keyd_client *client, const struct keyd_adopt *what,
                    struct keyd_key **ret_key, struct keyd_object **ret_object,
                    struct keyd_finding **ret_findings, size_t *ret_finding_count,
                    struct keyd_error *error);

/* The fragments in the token. With `sweep` (of a call before; sweep_count of them): removes those,
 * as far as keyd itself still finds them to be fragments, and gives what was removed. Freed with
 * keyd_fragments_free. */
int keyd_token_sweep(struct keyd_client *client, const struct keyd_fragment *sweep,
                     size_t sweep_count, struct keyd_fragment **ret, size_t *ret_count,
                     struct keyd_error *error);

/* Frees a list of fragments. */
void keyd_fragments_free(struct keyd_fragment *fragments, size_t count);

/* How long keys of a type take to make. */
struct keyd_bench_generation {
    int type;      /* enum keyd_key_type */
    uint32_t keys; /* so many were made */
    uint32_t p50_us, max_us;
};

/* Signatures by so many signers at once; 0: by the custodian, one process, because making such keys
 * takes too long beside live signing. Percentiles are good to 6 %. */
struct keyd_bench_rate {
    int type;        /* enum keyd_key_type */
    uint32_t scheme; /* IANA TLS SignatureScheme */
    uint32_t signers;
    double per_second;
    uint32_t p50_us, p99_us;
};

/* What became of one signature by each scheme. */
struct keyd_bench_tried {
    int type;        /* enum keyd_key_type */
    uint32_t scheme; /* IANA TLS SignatureScheme */
    char *name;      /* "rsa_pss_rsae_sha256" */
    char *error;     /* what the token said; "": it signs */
};

struct keyd_bench {
    struct keyd_bench_generation *generations;
    size_t generation_count;
    struct keyd_bench_rate *rates; /* by type, then by signers */
    size_t rate_count;
    struct keyd_bench_tried *tried;
    size_t tried_count;
    char **advice; /* sentences for people */
    size_t advice_count;
    uint32_t signers, cores; /* that took part; that keyd may use */
    char *cut_short;         /* why not all was measured; "": it was */
};

/* Tries what the token can do and how fast it is, in at most about so many seconds (2 to 15; 0:
 * 10): give the client a longer deadline, since a key that is being made is finished. Signing goes
 * on meanwhile; nothing is left in the token. Freed with keyd_token_bench_free. */
int keyd_token_bench(struct keyd_client *client, unsigned seconds, struct keyd_bench **ret,
                     struct keyd_error *error);

/* Frees it. NULL is fine. */
void keyd_token_bench_free(struct keyd_bench *bench);

struct keyd_pin_change {
    char *file; /* where keyd has the PIN, on its machine */
    int given;  /* not 0: it was the operator's, from the file of that name with ".next" behind */
};

/* Gives the token a new user PIN. It is never on the wire: keyd makes one, or takes the one that
 * the operator has put beside its PIN file. When the call has returned KEYD_OK, token and file have
 * it; signing was not disturbed. Cut short anywhere, keyd finds out at its next start which PIN the
 * token has: ask again. Fails with KEYD_UNSUPPORTED where the PIN lies in no file that keyd can
 * replace, KEYD_BUSY when the last change was a moment ago. Freed with keyd_pin_change_free. */
int keyd_pin_change(struct keyd_client *client, struct keyd_pin_change **ret,
                    struct keyd_error *error);

/* Frees it. NULL is fine. */
void keyd_pin_change_free(struct keyd_pin_change *change);

/* ---- backup */

/* Where a backup goes, file by file. A function that returns false ends it. */
struct keyd_backup_sink {
    void *context;
    /* A file begins: relative, '/' between, every part of [A-Za-z0-9._-], none begins with '.'. */
    bool (*begin)(void *context, const char *name, uint64_t size);
    bool (*write)(void *context, const void *bytes, size_t len);
    bool (*end)(void *context); /* it is whole, and its SHA-256 is the one in the manifest */
};

/* What a backup is of. */
struct keyd_backup {
    char time[24]; /* RFC 3339, UTC */
    char keyd[32]; /* its version */
    char token_label[40], token_serial[24];
    uint32_t token_private_keys;
    uint32_t keys; /* in the registry */
    size_t files;
    uint64_t bytes;
    bool token_files;     /* the token's files are in it; if not, the token needs its own backup */
    char pin_source[512]; /* where the token's PIN is, which is in no backup */
};

/* Makes a backup of keyd's registry and, where the token keeps its files with keyd, of the token.
 * keyd serves meanwhile. The last file is MANIFEST: without it a backup is not whole. Fails with
 * KEYD_BUSY while another one is made, KEYD_NOT_FOUND when keyd's custodian was replaced meanwhile
 * (begin again), KEYD_STORAGE when the sink gave up. */
int keyd_backup(struct keyd_client *client, const struct keyd_backup_sink *sink,
                struct keyd_backup *ret, struct keyd_error *error);

/* How keyd is doing. Freed with keyd_status_free. */
int keyd_status(struct keyd_client *client, struct keyd_status **ret, struct keyd_error *error);

/* Frees a status. */
void keyd_status_free(struct keyd_status *status);

#ifdef __cplusplus
}
#endif

#endif

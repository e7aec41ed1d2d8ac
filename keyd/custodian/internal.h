/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the custodian share.
 */
#ifndef KEYD_CUSTODIAN_INTERNAL_H
#define KEYD_CUSTODIAN_INTERNAL_H

#include "keyd/custodian/findings.h"
#include "keyd/policy/principal.h"
#include "keyd/policy/tbs_names.h"
#include "keyd/process/access.h"
#include "keyd/process/msg.h"
#include "keyd/process/table.h"
#include "keyd/process/tally.h"
#include "keyd/registry/registry.h"
#include "keyd/token/keys.h"
#include "keyd/token/probe.h"
#include "keyd/token/token.h"
#include "keyd/token/unwrap.h"
#include "proto/base/arena.h"
#include "proto/frame.h"

#define PEERS_MAX 72 /* 64 signers, two gates, and some room */
#define NOTES_MAX 24 /* over PROBE_NOTES; the gate takes 64 */
#define NOTE_SIZE 200

#define ALLOWED_NAMES_MAX 100 /* patterns of one key */

/* What each room calls its own is the same thing here. */
_Static_assert(TABLE_ID_LEN == KEY_ID_LEN, "a key's id");
_Static_assert(TABLE_SPKI_MAX == SPKI_MAX_LEN, "its public key");
_Static_assert(CKA_ID_MAX == REGISTRY_CKA_ID_MAX, "its CKA_ID");
_Static_assert(CKA_ID_MAX == TOKEN_CKA_ID_MAX, "its CKA_ID");

/* A gate or signer that we talk to. */
struct peer {
    struct chan chan;
    uint64_t awaited; /* version of the MSG_KEY whose MSG_KEY_DONE we wait for; 0: none */
    bool told, left;  /* control gate: MSG_LEAVE was sent, MSG_LEFT came */
};

#define SUBJECT_MAX (2 * NAME_MAX_LEN + 2) /* "tenant/name" */

/* A request that waits for its turn. */
struct request {
    struct request *next;
    uint64_t call;        /* the gate's */
    struct principal who; /* asks */
    uint64_t until;       /* clock_us: nobody waits for the answer after that */
    uint32_t generation;  /* of the gate that handed it over */
    bool takes;           /* away: it goes before what makes */
    char subject[SUBJECT_MAX];
    size_t len;
    uint8_t bytes[]; /* the packed Envelope */
};

/* What the parent says while the PIN is changed (verb_pin.c). */
struct pin_talk {
    bool came, kept; /* MSG_PIN, MSG_PIN_KEPT */
    struct err why;
    int old_fd, new_fd; /* pipes */
    bool given;
};

/* What a backup is read from (verb_backup.c). */
struct snapshot {
    int fd; /* a file without a name; -1: there is none */
    uint8_t id[16];
    uint64_t size, manifest_at; /* bytes, and where the manifest begins */
    uint64_t until;             /* clock_us: forgotten then, unless it is read */
};

struct custodian {
    struct chan *parent;
    struct peer peers[PEERS_MAX]; /* fd -1: free */
    struct request *first, *last; /* what waits */
    size_t waiting;
    bool draining;     /* finish the verb, then end */
    bool worn;         /* be replaced when nothing waits: the module may hold what it unwrapped, or
                        * something was not published */
    uint64_t wears_at; /* clock_us: when it will be worn by what was refused; 0: it is not */
    bool parent_gone;  /* nobody is left to talk to */

    char uri[1024];
    char state_dir[512];
    struct token *token;
    struct token_abilities abilities;
    struct unwrap_way unwrap; /* how it takes keys in... */
    bool unwrap_known;        /* ...once that was tried */
    struct registry *registry;

    struct table table; /* table_key.user: its proven handle in the token, see custodian_handle */
    uint64_t first_version;        /* of the table as it was at our start */
    uint64_t kept;                 /* version that the parent has confirmed */
    int access_fd;                 /* grants and tokens as they were published last; -1: never... */
    uint64_t access_version;       /* ...and their version, of the same count as the table's */
    uint32_t missing;              /* keys that the token does not show */
    char frozen[256];              /* not empty: why changes are refused */
    uint8_t import_id[KEY_ID_LEN]; /* the import key that was proven last... */
    token_handle import_handle;    /* ...and its handle; 0: none */
    uint64_t tidy_at; /* clock_us: when to look for import keys that may go; 0: no need */
    struct pin_talk pin;
    struct bench *bench; /* of the token-bench that is going on (verb_bench.c) */
    struct snapshot snapshot;
    char notes[NOTES_MAX][NOTE_SIZE];
    size_t note_count;
};

/* ---- start.c */

/* From MSG_START to MSG_READY. On failure what was opened stays in c, to be closed by the caller.
 */
bool custodian_start(struct custodian *c, struct err *err) MUST_USE;

/* Adds to an error of the start what token and registry say about it. */
void start_explain(const struct custodian *c, struct err *err);

/* ---- reconcile.c */

/* Undoes all open intents; then compares registry and token, builds the table, counts what is
 * missing and notes what is strange. Changes the token only where an intent says that it is ours.
 */
bool reconcile_all(struct custodian *c, struct err *err) MUST_USE;

/* Destroys what the token has of each open intent, and drops the intents. */
bool reconcile_intents(struct custodian *c, struct err *err) MUST_USE;

/* Remembers something that an operator should see in the status. */
void custodian_note(struct custodian *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- peers.c: all reading and writing. Nothing here waits for one peer alone. */

/* One round: sends what can be sent, waits up to timeout_ms (-1: for ever) for anything, takes in
 * what came. Requests are put in their queue. */
void peers_pump(struct custodian *c, int timeout_ms);

/* Rounds until nothing waits to be sent to anyone, for at most `ms`. */
void peers_flush(struct custodian *c, int ms);

/* The gate of this generation that hands us requests; NULL when it is gone. */
struct peer *peers_control_gate(struct custodian *c, uint32_t generation);

/* Asks control gates to hand us nothing more. True when all have said that they do not, or none is
 * there: what they asked before is in the queue then. To be called again until it is true. */
bool peers_leave(struct custodian *c);

/* Closes all channels but the parent's, forgets what waits. */
void peers_free(struct custodian *c);

/* ---- publish.c */

/* Hands the table to the parent and waits until it is kept for processes to come. */
void publish_table(struct custodian *c);

/* Waits until the parent has kept what was sent to it with this version. */
void publish_wait_kept(struct custodian *c, uint64_t version);

/* Waits until the peer has confirmed this version. One that does not is named to the parent, who
 * kills it; `must`: only then it is good that it has not. ERR_UNAVAILABLE. */
bool publish_wait_peer(struct custodian *c, struct peer *p, uint64_t version, bool must,
                       struct err *err) MUST_USE;

/* Makes a key known everywhere: table, parent, each signer in turn, gates. When this returns it is
 * true wherever someone lives to whom it matters. `handle`: proven in our session; 0: none. */
bool publish_key(struct custodian *c, const struct registry_key *key, enum key_state state,
                 token_handle handle, struct err *err) MUST_USE;

/* Adds a key to our table, as of `version`. */
bool publish_put(struct custodian *c, const struct registry_key *key, enum key_state state,
                 uint64_t version, token_handle handle, struct err *err) MUST_USE;

/* What changed lately, for a gate or signer whose channel is new. It answers as it can. */
void publish_recent(struct custodian *c, struct peer *p);

/* ---- request.c */

/* Puts a MSG_REQUEST, which came from p, into the queue. */
void request_take(struct custodian *c, struct peer *p, struct msg *m);

/* Serves the first of the queue, if there is one, and answers it. */
void request_serve(struct custodian *c);

/* Whether something waits that takes away: a verb that may be cut short gives way. */
bool request_takes_waiting(const struct custodian *c);

/* Forgets what a gate asked for that is gone. */
void request_forget(struct custodian *c, uint32_t generation);

/* ---- subject.c */

/* "tenant/name" of the key that a request is about: "" for a request about none, "?" for one that
 * cannot be told (nobody has that id). */
void subject_of(const struct custodian *c, const envelope *e, char ret[SUBJECT_MAX]);

/* ---- request.c again */

/* A request while it is served. */
struct ask {
    const envelope *e;
    const struct principal *who;
    enum scope scope;    /* on what he may call this verb */
    struct arena *arena; /* what the reply is made of */
};

/* Zeroed memory for a part of a reply; on NULL err is set. */
void *ask_alloc(const struct ask *ask, size_t n, struct err *err) MUST_USE;

/* A copy of n bytes in a reply. */
bool ask_bytes(const struct ask *ask, const uint8_t *p, size_t n, ProtobufCBinaryData *ret,
               struct err *err) MUST_USE;

/* A copy of a text in a reply. */
bool ask_text(const struct ask *ask, const char *text, char **ret, struct err *err) MUST_USE;

/* ---- scope.c: to a tenant, what is another's is as if it were not there */

/* The tenant to whom the caller's scope is bound; "" if to none. */
const char *scope_within(const struct ask *ask);

/* Refuses a tenant outside of the caller's scope: ERR_NOT_FOUND, as for one that is not there. */
bool scope_tenant(const struct ask *ask, const char *tenant, struct err *err) MUST_USE;

/* Finds a key in the caller's scope. Errors as of registry_key_find. */
bool scope_key(struct custodian *c, const struct ask *ask, const char *name,
               struct registry_key *ret, struct err *err) MUST_USE;

/* The purposes with which the caller may make keys; ERR_DENIED names those that he may not. */
bool scope_purposes(const struct ask *ask, uint32_t purposes, struct err *err) MUST_USE;

/* ---- access.c: grants and tokens, as the gates know them */

/* Reads them from the registry and makes them known: to the parent, for gates to come, and to the
 * gates. When this returns true it is true wherever somebody could use them. */
bool access_publish(struct custodian *c, struct err *err) MUST_USE;

/* Hands them to a gate whose channel is new. It answers as it can. */
void access_send(struct custodian *c, struct peer *p);

/* ---- the verbs: each fills in body_case and body of ret, in ask->arena */

/* verbs_tenants.c */
bool verb_tenants_add(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_tenants.c */
bool verb_tenants_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_keys.c */
bool verb_keys_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_keys.c */
bool verb_keys_show(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_generate.c */
bool verb_keys_generate(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_state.c */
bool verb_keys_disable(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_state.c */
bool verb_keys_enable(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_state.c */
bool verb_keys_destroy(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* Destroys what the token has of a key that is being destroyed, and its row. (verb_state.c) */
bool destroy_finish(struct custodian *c, const struct registry_key *key, struct err *err) MUST_USE;
/* verb_sign.c */
bool verb_create_csr(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_sign.c */
bool verb_sign(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_explain.c */
bool verb_explain(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_grants.c */
bool verb_grants_add(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_grants.c */
bool verb_grants_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_grants.c */
bool verb_grants_remove(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_tokens.c */
bool verb_tokens_create(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_tokens.c */
bool verb_tokens_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verbs_tokens.c */
bool verb_tokens_revoke(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_objects.c */
bool verb_token_objects(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);

/* verb_adopt.c */
bool verb_keys_adopt(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_sweep.c */
bool verb_token_sweep(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);

/* An object in the reply's form. (verb_objects.c) */
bool object_to_wire(const struct custodian *c, const struct ask *ask,
                    const struct token_object *from, Keyd__V1__TokenObject **ret,
                    struct err *err) MUST_USE;

/* A finding in the reply's form; NULL: err is set. `name`: of the key or object. (verb_objects.c)
 */
Keyd__V1__Finding *finding_to_wire(const struct ask *ask, const struct finding *from,
                                   const char *name, const uint8_t *cka_id, size_t cka_id_len,
                                   struct err *err) MUST_USE;

/* verb_backup.c */
bool verb_backup(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb_backup.c */
bool verb_backup_read(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* Forgets the snapshot, if there is one. (verb_backup.c) */
void backup_forget(struct custodian *c);
/* Removes what a custodian that was killed while it took a snapshot has left. (verb_backup.c) */
void backup_clean(struct custodian *c);

/* A key in the reply's form, with its SPKI and CKA_ID if `whole`. NULL: err is set. (verbs_keys.c)
 */
Keyd__V1__Key *key_to_wire(const struct custodian *c, const struct ask *ask,
                           const struct registry_key *key, bool whole, struct err *err) MUST_USE;

/* ---- intent.c: what verbs share that bring a key into being */

/* Refuses purposes that this keyd does not know, and raw beside any other: what signs anything
 * signs the other shapes too, for those who may not have them. */
bool purposes_known(uint32_t purposes, struct err *err) MUST_USE;

/* Adds a request's allowed names to a key's list, each as it stands in certificates (lower case,
 * A-labels). ERR_BAD_REQUEST for what is no pattern, for too many, and for a key without csr. The
 * list is that of an intent or of a key. (names.c) */
bool names_allow(char list[REGISTRY_NAMES_MAX + 1], uint32_t purposes, char *const *names,
                 size_t count, struct err *err) MUST_USE;

struct allowed_names {
    char text[REGISTRY_NAMES_MAX + 1];
    const char *list[ALLOWED_NAMES_MAX]; /* into text */
    struct tbs_names names;              /* list, as the recogniser takes it */
};

/* Takes the registry's text apart. *ret must not move afterwards. ERR_STORAGE. (names.c) */
bool allowed_names_of(const char *text, struct allowed_names *ret, struct err *err) MUST_USE;

/* Puts tenant and name into an intent, if they can be names. */
bool intent_name(struct registry_intent *i, const char *tenant, const char *name,
                 struct err *err) MUST_USE;

/* Gives the intent its id, and the CKA_ID that follows from it and the purposes. */
bool intent_seal(struct registry_intent *i, struct err *err) MUST_USE;

/* Whether a CKA_ID has the form of those that intent_seal makes. */
bool intent_id_is_ours(const uint8_t *cka_id, size_t len);

/* CKA_LABEL of the object that is to be. */
void intent_label(const struct registry_intent *i, char label[TOKEN_LABEL_MAX]);

/* The key that is to be, but for its public half and id. */
void intent_key(const struct registry_intent *i, struct registry_key *ret);

/* Undoes an intent that could not be finished. */
void intent_undo(struct custodian *c, const struct registry_intent *i);

/* ---- import_key.c: the key that others are wrapped for */

/* verb: shows it, makes it if need be, begins an import */
bool verb_import_key(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
/* verb */
bool verb_import_key_rotate(struct custodian *c, const struct ask *ask, envelope *ret,
                            struct err *err);

#define IMPORT_LABEL   "keyd/import key" /* its CKA_LABEL */
#define IMPORT_NONCE_S 120               /* how long an import may take from nonce to key */

/* Finds out how the token takes keys in, if there is an import key; if not, that is left to the
 * first need, since it takes a moment. Fails only when token or registry do. */
bool import_probe(struct custodian *c, struct err *err) MUST_USE;

/* Whether the token can unwrap at all; tries it, if that was not done yet. ERR_UNSUPPORTED. */
bool import_possible(struct custodian *c, struct err *err) MUST_USE;

/* Who asks, as nonces and failures remember him: "operator root", "tenant ci of acme": two tenants
 * may have tokens of one name. */
void import_principal(const struct ask *ask, char ret[IMPORT_PRINCIPAL_MAX + 1]);

/* Its handle in our session, looked up and proven if it was not before. */
bool import_handle(struct custodian *c, const struct registry_import_key *key, token_handle *ret,
                   struct err *err) MUST_USE;

/* Destroys retired import keys that no begun import needs, and says when to look again (tidy_at).
 * What goes wrong is logged, and tried again. */
void import_tidy(struct custodian *c);

/* ---- verb_import.c */

/* verb */
bool verb_keys_import(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);

/* ---- verb_bench.c, bench_advice.c */

/* verb */
bool verb_token_bench(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);

/* Takes a signer's MSG_BENCHED; one that came too late is dropped. */
void bench_answered(struct custodian *c, struct peer *p, struct msg *m);

struct bench_point {
    uint32_t signers;
    double per_second;
};

/* A sentence: how many signers pay for keys of that type. `points`: at least one, from one signer
 * upwards; `cores`: that keyd may use. */
void bench_advice(const char *type, const struct bench_point *points, size_t count, uint32_t cores,
                  char *buf, size_t size);

/* ---- verb_pin.c */

/* verb */
bool verb_pin_change(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);

/* Takes MSG_PIN, MSG_PIN_KEPT. */
void pin_take(struct custodian *c, struct msg *m);
/* See pin_take. */
void pin_kept(struct custodian *c, struct msg *m);

/* ---- stats.c */

/* Answers MSG_STATUS_ASK. */
void stats_answer(struct custodian *c, uint64_t ask);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * who: who a connection is, by the rules of keyd.conf and the tokens and grants that the custodian
 * published, and what he was granted. Asked again for every live connection when any of these
 * change.
 */
#ifndef KEYD_GATE_WHO_H
#define KEYD_GATE_WHO_H

#include "keyd/gate/state.h"

#define URI_MAX     255
#define PROOF_MAX   300  /* "uri=..." */
#define GROUPS_MAX  1024 /* supplementary ones of a unix peer: one in more is nobody */
#define TOKEN_MAX   255  /* bytes of a token's text */
#define TOKEN_SAY_S 60   /* its use is told to the custodian no more often */

/* What a connection has proven so far. */
struct identity {
    bool unix_peer;
    uint32_t uid, gid;
    bool cert; /* a client certificate that verified: */
    char uri[URI_MAX + 1];
    uint8_t spki[KEY_ID_LEN];
    bool token; /* it said one that was good: */
    uint8_t token_hash[ACCESS_HASH_LEN];
    int64_t until; /* seconds since 1970: then the first of them expires; 0: none does */
};

/* Reads the rules out of MSG_START or MSG_RELOAD. */
void who_get_rules(struct gate *g, struct msg *m);

/* Who is who may have changed, or what he may: connections of whoever is not any more who he was
 * are cut, and calls refused that he may not make now. */
void who_changed(struct gate *g);

/* MSG_ACCESS, from the parent or the custodian, whom it is confirmed to: then it is true here. Ends
 * the process if it cannot be read: what was granted before must not outlive it. */
void who_on_access(struct gate *g, struct chan *from, struct msg *m);

/* What the kernel says of a unix peer. */
bool who_unix(int fd, struct identity *ret) MUST_USE;

/* Who that is; *ret has ROLE_NONE for nobody. `fd` is the connection's; proof, of PROOF_MAX bytes,
 * says how he proved it, or what he has shown. */
void who_is(const struct gate *g, int fd, const struct identity *id, struct principal *ret,
            char proof[PROOF_MAX]);

/* Takes a token's text into the identity. ERR_DENIED for one that is unknown, revoked, expired or
 * of a role that is not at home here (one answer for all), ERR_UNAVAILABLE while no tokens are
 * known yet. */
bool who_take_token(struct gate *g, struct identity *id, const char *text,
                    struct err *err) MUST_USE;

/* Whether a token that is to be made may have its name: a frontend's must be none that a rule
 * makes, or it would have the grants of that one. ERR_CONFLICT. */
bool who_name_is_free(const struct gate *g, const Keyd__V1__TokensCreate *token,
                      struct err *err) MUST_USE;

/* Tells the custodian that the token is in use, if it was not told lately. */
void who_token_used(struct gate *g, const struct identity *id);

/* Takes back what who_granted has made of a line. */
void who_forget(struct line *line);

/* The purposes for which the line's principal was granted the key; 0: none. */
uint32_t who_granted(const struct gate *g, struct line *line, const struct table_key *key);

#endif

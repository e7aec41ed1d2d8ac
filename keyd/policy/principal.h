/* SPDX-License-Identifier: Apache-2.0
 *
 * principal: who somebody is, by what a connection has proven. Rules (the [principals] section of
 * keyd.conf) are tried in their order, and the first that fits decides; whom none fits is nobody.
 *
 *   NAME = ROLE [tenant=T] [group=G] PROOF
 *
 * PROOF is user=NAME or unix-group=NAME (or a number; unix(7) peer credentials), uri=URI (the one
 * URI in the subjectAltName of a TLS client certificate, RFC 5280 4.2.1.6; SPIFFE's form), or
 * spki=HEX (SHA-256 over its SubjectPublicKeyInfo). One "*" in NAME stands for the same text as one
 * "*" in the URI:
 *
 *   fe-* = frontend group=edge uri=spiffe://platform/frontend/fe-*
 */
#ifndef KEYD_POLICY_PRINCIPAL_H
#define KEYD_POLICY_PRINCIPAL_H

#include <stddef.h>

#include "keyd/policy/verbs.h"
#include "proto/keys.h"

#define RULES_MAX      256
#define PROOF_TEXT_MAX 255

struct principal {
    enum role role; /* ROLE_NONE: nobody */
    char name[NAME_MAX_LEN + 1];
    char tenant[NAME_MAX_LEN + 1]; /* of ROLE_TENANT its own; else empty */
    char group[NAME_MAX_LEN + 1];  /* of ROLE_FRONTEND, if it is in one; else empty */
};

/* His name; "nobody" for nobody. */
const char *principal_text(const struct principal *p);

/* Numbers travel from the parent to the gates. */
enum proof { PROOF_NONE, PROOF_USER, PROOF_UNIX_GROUP, PROOF_URI, PROOF_SPKI };

struct rule {
    struct principal principal; /* its name may hold one "*" */
    enum proof proof;
    char text[PROOF_TEXT_MAX + 1]; /* what stands behind the "=" of the proof */
    uint32_t id; /* PROOF_USER, PROOF_UNIX_GROUP: uid or gid, filled in by who reads the rules */
};

/* Reads one rule. ERR_BAD_REQUEST names what is wrong and how it should look. */
bool rule_parse(struct rule *ret, const char *name, const char *value, struct err *err) MUST_USE;

/* "user=www-data": how the rule wants to be met; cut at size. Returns buf. */
const char *rule_proof_text(const struct rule *rule, char *buf, size_t size);

/* What a connection has proven. */
struct evidence {
    enum verb_socket socket; /* where; only rules of roles that are at home there count */
    bool unix_peer;          /* uid, gid and groups count */
    uint32_t uid, gid;
    const uint32_t *groups; /* supplementary ones */
    size_t group_count;
    const char *uri;     /* of its certificate; NULL: none */
    const uint8_t *spki; /* SHA-256, 32 bytes, of its certificate; NULL: none */
};

/* The first rule that fits, or NULL; ret is who that makes him: a name with its "*" filled in. */
const struct rule *principal_find(const struct rule *rules, size_t count,
                                  const struct evidence *evidence, struct principal *ret);

/* Whether a rule could make somebody of this name and role (ROLE_NONE: of any): for questions like
 * "could fe-12 serve?". The first such rule, or NULL; ret is who that would be. */
const struct rule *principal_named(const struct rule *rules, size_t count, const char *name,
                                   enum role role, struct principal *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/policy/principal.h"

#include <stdio.h>
#include <string.h>

#define RULE_FORM "NAME = ROLE [tenant=T] [group=G] and one of user=, unix-group=, uri=, spki="

static const struct {
    const char *word;
    enum proof proof;
} proofs[] = {
    {"user", PROOF_USER},
    {"unix-group", PROOF_UNIX_GROUP},
    {"uri", PROOF_URI},
    {"spki", PROOF_SPKI},
};

#define PROOFS (sizeof(proofs) / sizeof(proofs[0]))

/* ---- one star */

/* What stands before and behind the star; without one, before is all and *ret_star is false. */
struct pattern {
    const char *head, *tail;
    size_t head_len, tail_len;
    bool star;
};

static struct pattern pattern_of(const char *text)
{
    const char *star = strchr(text, '*');
    struct pattern p = {.head = text, .head_len = star ? (size_t)(star - text) : strlen(text)};

    p.star = star != NULL;
    p.tail = star ? star + 1 : text + p.head_len;
    p.tail_len = strlen(p.tail);
    return p;
}

/* What the star stands for in the text; false if the pattern does not fit. */
static bool star_of(const struct pattern *p, const char *text, const char **ret, size_t *ret_len)
{
    size_t len = strlen(text), fixed = p->head_len + p->tail_len;

    if (p->star ? len <= fixed : len != fixed)
        return false;
    if (memcmp(text, p->head, p->head_len) != 0 ||
        memcmp(text + len - p->tail_len, p->tail, p->tail_len) != 0)
        return false;
    *ret = text + p->head_len;
    *ret_len = len - fixed;
    return true;
}

/* Puts the star's text into the pattern. The whole must be a name: nothing strange gets in. */
static bool fill_name(const char *pattern, const char *star, size_t star_len,
                      char ret[NAME_MAX_LEN + 1])
{
    struct pattern p = pattern_of(pattern);
    char name[NAME_MAX_LEN + 1];
    struct err err;

    if (p.head_len + star_len + p.tail_len > NAME_MAX_LEN)
        return false;
    snprintf(name, sizeof(name), "%.*s%.*s%s", (int)p.head_len, p.head, p.star ? (int)star_len : 0,
             star, p.tail);
    if (!name_check(name, "principal", &err))
        return false;
    memcpy(ret, name, sizeof(name));
    return true;
}

/* ---- reading a rule */

static bool bad_rule(struct err *err)
{
    return err_hint(err, RULE_FORM);
}

/* A name in which one star may stand, checked with a letter in its place. */
static bool check_pattern(const char *name, struct err *err)
{
    struct pattern p = pattern_of(name);
    char plain[NAME_MAX_LEN + 1];

    if (strchr(p.tail, '*') || strlen(name) > NAME_MAX_LEN) {
        err_set(err, ERR_BAD_REQUEST, "\"%.80s\" cannot be a principal's name", name);
        return err_hint(err, "at most %d characters, and at most one \"*\"", NAME_MAX_LEN);
    }
    snprintf(plain, sizeof(plain), "%.*s%s%s", (int)p.head_len, p.head, p.star ? "x" : "", p.tail);
    return name_check(plain, "principal", err);
}

static bool set_name(char ret[NAME_MAX_LEN + 1], const char *value, const char *what,
                     struct err *err)
{
    if (*ret) {
        err_set(err, ERR_BAD_REQUEST, "two %ss for one principal", what);
        return bad_rule(err);
    }
    TRY(name_check(value, what, err));
    snprintf(ret, NAME_MAX_LEN + 1, "%s", value);
    return true;
}

static bool set_proof(struct rule *rule, enum proof proof, const char *value, struct err *err)
{
    if (rule->proof != PROOF_NONE) {
        err_set(err, ERR_BAD_REQUEST, "two proofs for one principal");
        return err_hint(err, "write a second rule: the first one that fits decides");
    }
    if (!*value || strlen(value) > PROOF_TEXT_MAX)
        return err_set(err, ERR_BAD_REQUEST, "a proof has 1 to %d characters", PROOF_TEXT_MAX);
    rule->proof = proof;
    snprintf(rule->text, sizeof(rule->text), "%s", value);
    return true;
}

/* One "key=value" word. */
static bool set_word(struct rule *rule, char *word, struct err *err)
{
    char *value = strchr(word, '=');

    if (!value) {
        err_set(err, ERR_BAD_REQUEST, "\"%.60s\" is no part of a rule", word);
        return bad_rule(err);
    }
    *value++ = '\0';
    if (strcmp(word, "tenant") == 0)
        return set_name(rule->principal.tenant, value, "tenant", err);
    if (strcmp(word, "group") == 0)
        return set_name(rule->principal.group, value, "group", err);
    for (size_t i = 0; i < PROOFS; i++)
        if (strcmp(word, proofs[i].word) == 0)
            return set_proof(rule, proofs[i].proof, value, err);
    err_set(err, ERR_BAD_REQUEST, "\"%.60s=\" is no part of a rule", word);
    return bad_rule(err);
}

static bool check_stars(const struct rule *rule, struct err *err)
{
    bool in_name = strchr(rule->principal.name, '*') != NULL;
    const char *star = strchr(rule->text, '*');

    if (rule->proof != PROOF_URI && !in_name)
        return true;
    if (rule->proof != PROOF_URI || in_name != (star != NULL) || (star && strchr(star + 1, '*'))) {
        err_set(err, ERR_BAD_REQUEST, "a \"*\" stands once in the name and once in its uri=");
        return err_hint(err, "fe-* = frontend uri=spiffe://platform/frontend/fe-*");
    }
    return true;
}

static bool check_whole(const struct rule *rule, struct err *err)
{
    const struct principal *p = &rule->principal;
    uint8_t hash[KEY_ID_LEN];

    if (rule->proof == PROOF_NONE) {
        err_set(err, ERR_BAD_REQUEST, "nothing says how the principal proves itself");
        return bad_rule(err);
    }
    if ((p->role == ROLE_TENANT) != (*p->tenant != '\0')) {
        err_set(err, ERR_BAD_REQUEST, "tenant= belongs to the role tenant, and to it alone");
        return bad_rule(err);
    }
    if (*p->group && p->role != ROLE_FRONTEND) {
        err_set(err, ERR_BAD_REQUEST, "group= is for the role frontend");
        return bad_rule(err);
    }
    if (rule->proof == PROOF_SPKI && !hex_decode(rule->text, hash, sizeof(hash))) {
        err_set(err, ERR_BAD_REQUEST, "spki= takes the SHA-256 of a public key, 64 hex digits");
        return err_hint(err, "openssl x509 -in FILE -pubkey -noout | openssl pkey -pubin -outform "
                             "DER | sha256sum");
    }
    return check_stars(rule, err);
}

/* Takes the next word off the text; NULL at its end. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t");

    if (!*word)
        return NULL;
    *at = word + strcspn(word, " \t");
    if (**at)
        *(*at)++ = '\0';
    return word;
}

bool rule_parse(struct rule *ret, const char *name, const char *value, struct err *err)
{
    struct rule rule = {0};
    char text[4 * (PROOF_TEXT_MAX + 1)];
    char *at = text, *word;

    TRY(check_pattern(name, err));
    snprintf(rule.principal.name, sizeof(rule.principal.name), "%s", name);
    if (strlen(value) >= sizeof(text))
        return err_set(err, ERR_TOO_LARGE, "a rule is longer than %zu bytes", sizeof(text) - 1);
    snprintf(text, sizeof(text), "%s", value);
    word = next_word(&at);
    rule.principal.role = word ? role_by_name(word) : ROLE_NONE;
    if (rule.principal.role == ROLE_NONE) {
        err_set(err, ERR_BAD_REQUEST, "\"%.40s\" is no role", word ? word : "");
        return err_hint(err, "operator, tenant, frontend, agent, issuer or auditor");
    }
    while ((word = next_word(&at)) != NULL)
        TRY(set_word(&rule, word, err));
    TRY(check_whole(&rule, err));
    *ret = rule;
    return true;
}

const char *rule_proof_text(const struct rule *rule, char *buf, size_t size)
{
    const char *word = "nothing";

    for (size_t i = 0; i < PROOFS; i++)
        if (proofs[i].proof == rule->proof)
            word = proofs[i].word;
    snprintf(buf, size, "%s=%s", word, rule->text);
    return buf;
}

/* ---- finding out */

const char *principal_text(const struct principal *p)
{
    return p->role == ROLE_NONE ? "nobody" : p->name;
}

static bool in_group(const struct evidence *e, uint32_t gid)
{
    bool in = e->gid == gid;

    for (size_t i = 0; !in && i < e->group_count; i++)
        in = e->groups[i] == gid;
    return in;
}

static bool spki_fits(const struct rule *rule, const uint8_t *spki)
{
    uint8_t hash[KEY_ID_LEN];

    return spki && hex_decode(rule->text, hash, sizeof(hash)) &&
           memcmp(hash, spki, sizeof(hash)) == 0;
}

/* Whether the evidence meets the rule; star is what a "*" stands for. */
static bool meets(const struct rule *rule, const struct evidence *e, const char **star,
                  size_t *star_len)
{
    struct pattern p;

    *star = "";
    *star_len = 0;
    if (role_socket(rule->principal.role) != e->socket)
        return false;
    switch (rule->proof) {
    case PROOF_USER:
        return e->unix_peer && e->uid == rule->id;
    case PROOF_UNIX_GROUP:
        return e->unix_peer && in_group(e, rule->id);
    case PROOF_URI:
        p = pattern_of(rule->text);
        return e->uri && star_of(&p, e->uri, star, star_len);
    case PROOF_SPKI:
        return spki_fits(rule, e->spki);
    case PROOF_NONE:
        break;
    }
    return false;
}

const struct rule *principal_find(const struct rule *rules, size_t count,
                                  const struct evidence *evidence, struct principal *ret)
{
    const char *star;
    size_t star_len;

    for (size_t i = 0; i < count; i++) {
        struct principal who = rules[i].principal;

        if (!meets(&rules[i], evidence, &star, &star_len) ||
            !fill_name(rules[i].principal.name, star, star_len, who.name))
            continue;
        *ret = who;
        return &rules[i];
    }
    return NULL;
}

const struct rule *principal_named(const struct rule *rules, size_t count, const char *name,
                                   enum role role, struct principal *ret)
{
    const char *star;
    size_t star_len;

    for (size_t i = 0; i < count; i++) {
        struct principal who = rules[i].principal;
        struct pattern p = pattern_of(rules[i].principal.name);

        if ((role != ROLE_NONE && who.role != role) || !star_of(&p, name, &star, &star_len) ||
            !fill_name(rules[i].principal.name, star, star_len, who.name))
            continue;
        *ret = who;
        return &rules[i];
    }
    return NULL;
}

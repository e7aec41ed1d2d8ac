/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that a key may ask certificates for: checked and written in one way when the key is
 * made, one text in the registry, a list for the recogniser.
 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "proto/x509/dns.h"

#define PATTERN_SIZE (DNS_NAME_MAX + 2) /* a dot before the name, a zero behind it */

static bool normalize(const char *pattern, char ret[PATTERN_SIZE], struct err *err)
{
    bool below = pattern[0] == '.';

    ret[0] = '.';
    if (dns_name_normalize(pattern + below, ret + below, err) && !(below && ret[1] == '*'))
        return true;
    if (err->code != ERR_NONE && err->code != ERR_BAD_REQUEST)
        return false;
    err_set(err, ERR_BAD_REQUEST, "\"%.140s\" is no DNS name that a key may be allowed", pattern);
    return err_hint(err, "www.example.com is one name, *.example.com one label before it, "
                         ".example.com any number of them");
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

static bool add_name(char *list, const char *pattern, struct err *err)
{
    size_t len = strlen(list);
    char name[PATTERN_SIZE];

    *err = (struct err){.code = ERR_NONE};
    TRY(normalize(pattern, name, err));
    if (has_word(list, name))
        return true;
    if (len + strlen(name) + 1 > REGISTRY_NAMES_MAX) {
        err_set(err, ERR_BAD_REQUEST, "the allowed names of a key have at most %d bytes together",
                REGISTRY_NAMES_MAX);
        return err_hint(err, "a pattern such as .example.com covers many");
    }
    if (len > 0)
        list[len++] = ' ';
    memcpy(list + len, name, strlen(name) + 1);
    return true;
}

bool names_allow(char list[REGISTRY_NAMES_MAX + 1], uint32_t purposes, char *const *names,
                 size_t count, struct err *err)
{
    if (count > 0 && !(purposes & PURPOSE_CSR)) {
        err_set(err, ERR_BAD_REQUEST,
                "names are allowed for a key that signs no certificate "
                "requests");
        return err_hint(err, "give it the purpose csr, or no names");
    }
    if (count > ALLOWED_NAMES_MAX) {
        err_set(err, ERR_BAD_REQUEST, "%zu allowed names; a key may have %d", count,
                ALLOWED_NAMES_MAX);
        return err_hint(err, "a pattern such as .example.com covers many");
    }
    for (size_t k = 0; k < count; k++)
        TRY(add_name(list, names[k], err));
    return true;
}

bool allowed_names_of(const char *text, struct allowed_names *ret, struct err *err)
{
    size_t count = 0;

    if (strlen(text) >= sizeof(ret->text))
        return err_set(err, ERR_STORAGE, "registry: the allowed names of a key are damaged");
    memcpy(ret->text, text, strlen(text) + 1);
    for (char *word = ret->text; *word; count++) {
        if (count == ALLOWED_NAMES_MAX || *word == ' ')
            return err_set(err, ERR_STORAGE, "registry: the allowed names of a key are damaged");
        ret->list[count] = word;
        word += strcspn(word, " ");
        if (*word)
            *word++ = '\0';
    }
    ret->names = (struct tbs_names){.names = ret->list, .count = count};
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Text becomes a list of pairs (attribute, value), each with a mark whether it joins the one before
 * it in a RelativeDistinguishedName; the list becomes a Name in one direction or the other. Which
 * string type an attribute has is libcrypto's table; lengths are RFC 5280 A.1's upper bounds.
 */
#include "proto/x509/subject.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/base/mem.h"
#include "proto/base/rd.h"
#include "proto/x509/dns.h"
#include "proto/x509/quote.h"

#define PAIRS_MAX 24
#define TYPE_MAX  32

struct attribute {
    const char *name, *long_name;
    int nid;
    size_t max; /* characters */
};

static const struct attribute attributes[] = {
    {"CN", "commonName", NID_commonName, SUBJECT_CN_MAX},
    {"O", "organizationName", NID_organizationName, 64},
    {"OU", "organizationalUnitName", NID_organizationalUnitName, 64},
    {"C", "countryName", NID_countryName, 2},
    {"ST", "stateOrProvinceName", NID_stateOrProvinceName, 128},
    {"L", "localityName", NID_localityName, 128},
    {"STREET", "streetAddress", NID_streetAddress, 128},
    {"DC", "domainComponent", NID_domainComponent, 63},
    {"UID", "userId", NID_userId, 256},
    {"serialNumber", "serialNumber", NID_serialNumber, 64},
    {"emailAddress", "E", NID_pkcs9_emailAddress, 128},
};

#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

struct pair {
    const struct attribute *attribute;
    char value[SUBJECT_TEXT_MAX + 1];
    bool joins; /* the pair before it, in one RDN */
};

struct pairs {
    struct pair list[PAIRS_MAX];
    size_t count;
};

static bool bad(struct err *err, const char *text, const char *why)
{
    char shown[QUOTE_SIZE];

    err_set(err, ERR_BAD_REQUEST, "subject \"%s\": %s", quote(text, shown), why);
    return err_hint(err, "write it as \"CN=www.example.com,O=Acme\" or "
                         "\"/O=Acme/CN=www.example.com\"");
}

/* ---- from text to pairs */

struct reader {
    const char *text; /* for errors */
    struct rd rd;
    bool slashes; /* OpenSSL's form */
    char stopped; /* the separator behind the value just read; 0: the end */
};

/* The next byte without taking it; 0 at the end. */
static char peek(const struct reader *r)
{
    struct rd ahead = r->rd;

    return (char)rd_u8(&ahead);
}

static bool unknown_attribute(const char *name, struct err *err)
{
    char known[160] = "";
    size_t at = 0;

    for (size_t i = 0; i < ATTRIBUTES && at < sizeof(known); i++)
        at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", i ? ", " : "",
                               attributes[i].name);
    err_set(err, ERR_BAD_REQUEST, "subject: unknown attribute \"%s\"", name);
    return err_hint(err, "known are %s", known);
}

static bool read_attribute(struct reader *r, const struct attribute **ret, struct err *err)
{
    char name[TYPE_MAX + 1] = "";
    size_t len = 0;

    while (peek(r) == ' ')
        rd_u8(&r->rd);
    while (peek(r) && !strchr("=,+/", peek(r)) && len < TYPE_MAX)
        name[len++] = (char)rd_u8(&r->rd);
    while (len > 0 && name[len - 1] == ' ')
        len--;
    name[len] = '\0';
    if (rd_u8(&r->rd) != '=')
        return bad(err, r->text, "a part without \"=\"");
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (strcasecmp(name, attributes[i].name) == 0 ||
            strcasecmp(name, attributes[i].long_name) == 0) {
            *ret = &attributes[i];
            return true;
        }
    }
    return unknown_attribute(name, err);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

/* What stands behind a backslash: RFC 4514 2.4 a special character or two hex digits; in OpenSSL's
 * form any character. */
static bool read_escaped(struct reader *r, char *ret, struct err *err)
{
    char c = (char)rd_u8(&r->rd);
    int high = hex_digit(c), low = hex_digit(peek(r));

    if (r->rd.failed)
        return bad(err, r->text, "nothing behind the last \"\\\"");
    if (!r->slashes && high >= 0 && low >= 0) {
        rd_u8(&r->rd);
        c = (char)(high << 4 | low);
    } else if (!r->slashes && !strchr(" \"#+,;<=>\\", c)) {
        return bad(err, r->text, "\"\\\" stands before one of \"#+,;<=>\\ or two hex digits");
    }
    *ret = c;
    return true;
}

/* A value, up to a separator or the end. Blanks around it go, unless escaped. */
static bool read_value(struct reader *r, char value[SUBJECT_TEXT_MAX + 1], struct err *err)
{
    const char *stops = r->slashes ? "/+" : ",+";
    size_t len = 0, kept = 0;

    r->stopped = '\0';
    while (peek(r) == ' ')
        rd_u8(&r->rd);
    if (!r->slashes && peek(r) == '#')
        return bad(err, r->text, "values in hex (#...) are not taken; write \"\\#\" for a \"#\"");
    while (rd_left(&r->rd) > 0) {
        char c = (char)rd_u8(&r->rd);
        bool escaped = c == '\\';
        if (escaped)
            TRY(read_escaped(r, &c, err));
        else if (strchr(stops, c)) {
            r->stopped = c;
            break;
        } else if (!r->slashes && strchr("\";<>", c))
            return bad(err, r->text, "write \"\\\" before each of \";<>");
        if (len == SUBJECT_TEXT_MAX)
            return bad(err, r->text, "a value is too long");
        value[len++] = c;
        if (escaped || c != ' ')
            kept = len;
    }
    value[kept] = '\0';
    /* a zero from an escape would cut the value short in silence */
    if (strlen(value) != kept)
        return bad(err, r->text, "a value holds a zero byte");
    return true;
}

/* Characters in valid UTF-8 without control characters; SIZE_MAX if it is something else. */
static size_t characters(const char *value)
{
    size_t count = 0, left = strlen(value);
    unsigned long c;

    for (const unsigned char *p = (const unsigned char *)value; left > 0; count++) {
        int n = UTF8_getc(p, (int)left, &c);
        if (n <= 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
            return SIZE_MAX;
        p += n;
        left -= (size_t)n;
    }
    return count;
}

static bool check_value(const struct pair *p, struct err *err)
{
    const char *name = p->attribute->name;
    size_t n = characters(p->value);

    if (n == SIZE_MAX)
        return err_set(err, ERR_BAD_REQUEST,
                       "subject: the value of %s is no UTF-8 or has control characters", name);
    if (n == 0)
        return err_set(err, ERR_BAD_REQUEST, "subject: %s is empty", name);
    if (p->attribute->nid == NID_countryName && n != 2)
        return err_set(err, ERR_BAD_REQUEST,
                       "subject: C is a country code of two letters, not %zu characters", n);
    if (n > p->attribute->max)
        return err_set(err, ERR_BAD_REQUEST, "subject: %s has %zu characters; %zu may be", name, n,
                       p->attribute->max);
    return true;
}

bool subject_cn_is_host(const char *cn, char *host)
{
    struct err ignored;

    return strchr(cn, '.') && dns_name_normalize(cn, host, &ignored);
}

/* A host name is written as in the names beside it: people type U-labels here, too. */
static void host_to_ascii(struct pair *p)
{
    char host[DNS_NAME_MAX + 1];

    if (p->attribute->nid == NID_commonName && subject_cn_is_host(p->value, host))
        snprintf(p->value, sizeof(p->value), "%s", host);
}

static bool read_pairs(struct reader *r, struct pairs *ret, struct err *err)
{
    if (r->slashes)
        rd_u8(&r->rd);
    do {
        if (ret->count == PAIRS_MAX)
            return bad(err, r->text, "too many parts");
        struct pair *p = &ret->list[ret->count++];
        p->joins = ret->count > 1 && r->stopped == '+';
        TRY(read_attribute(r, &p->attribute, err));
        TRY(read_value(r, p->value, err));
        host_to_ascii(p);
        TRY(check_value(p, err));
    } while (r->stopped);
    return true;
}

/* ---- from pairs to DER */

static void free_name(X509_NAME **name)
{
    X509_NAME_free(*name);
}

static bool add(X509_NAME *name, const struct pair *p, bool joins, struct err *err)
{
    if (X509_NAME_add_entry_by_NID(name, p->attribute->nid, MBSTRING_UTF8,
                                   (const unsigned char *)p->value, -1, -1, joins ? -1 : 0) == 1)
        return true;
    char shown[QUOTE_SIZE];
    ERR_clear_error();
    return err_set(err, ERR_BAD_REQUEST, "subject: \"%s\" has characters that %s cannot have",
                   quote(p->value, shown), p->attribute->name);
}

/* RFC 4514 2.1 writes the RDNs from the last to the first. */
static bool add_backward(X509_NAME *name, const struct pairs *pairs, struct err *err)
{
    size_t end = pairs->count;

    while (end > 0) {
        size_t first = end - 1;
        while (pairs->list[first].joins)
            first--;
        for (size_t i = first; i < end; i++)
            TRY(add(name, &pairs->list[i], i > first, err));
        end = first;
    }
    return true;
}

static bool add_forward(X509_NAME *name, const struct pairs *pairs, struct err *err)
{
    for (size_t i = 0; i < pairs->count; i++)
        TRY(add(name, &pairs->list[i], pairs->list[i].joins, err));
    return true;
}

static bool to_der(X509_NAME *name, uint8_t **ret, size_t *ret_len, struct err *err)
{
    int n = name ? i2d_X509_NAME(name, NULL) : -1;
    AUTO_FREE uint8_t *der = n > 0 ? mem_new((size_t)n) : NULL;
    unsigned char *at = der;

    if (!der || i2d_X509_NAME(name, &at) != n)
        return err_set(err, ERR_INTERNAL, "no memory for a subject");
    *ret = TAKE(der);
    *ret_len = (size_t)n;
    return true;
}

bool subject_parse(const char *text, struct subject *ret, struct err *err)
{
    struct reader r = {.text = text, .rd = rd_of(text, strlen(text)), .slashes = text[0] == '/'};
    AUTO_FREE struct pairs *pairs = mem_new(sizeof(*pairs));
    CLEANUP(free_name) X509_NAME *name = X509_NAME_new();
    struct subject s = {.der = NULL};

    if (!pairs || !name)
        return err_set(err, ERR_INTERNAL, "no memory for a subject");
    if (strspn(text, " ") != strlen(text))
        TRY(read_pairs(&r, pairs, err));
    TRY(r.slashes ? add_forward(name, pairs, err) : add_backward(name, pairs, err));
    for (size_t i = pairs->count; i-- > 0;)
        if (pairs->list[i].attribute->nid == NID_commonName)
            memcpy(s.cn, pairs->list[i].value, sizeof(s.cn));
    TRY(to_der(name, &s.der, &s.der_len, err));
    *ret = s;
    return true;
}

void subject_free(struct subject *s)
{
    mem_free(s->der);
    *s = (struct subject){.der = NULL};
}

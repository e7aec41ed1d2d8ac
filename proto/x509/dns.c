/* SPDX-License-Identifier: Apache-2.0
 *
 * libidn2 maps and converts. What is ASCII is checked here, before and after: its mapping drops
 * characters in silence ("a b.example" would become "ab.example").
 */
#include "proto/x509/dns.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/x509/quote.h"

#define LABEL_MAX 63

static bool bad(struct err *err, const char *name, const char *why)
{
    char shown[QUOTE_SIZE];

    return err_set(err, ERR_BAD_REQUEST, "\"%s\" is no DNS name: %s", quote(name, shown), why);
}

static bool is_address(const char *name)
{
    uint8_t address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* The first byte of ASCII that no name has; 0 if there is none. */
static char stranger(const char *name)
{
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < 0x80 && !isalnum(c) && c != '-' && c != '.')
            return *name;
    }
    return '\0';
}

/* Mistakes that people make, before libidn2 gives them a name of its own. */
static bool check_form(const char *name, const char *base, struct err *err)
{
    if (*base == '\0')
        return bad(err, name, "it is empty");
    if (is_address(name)) {
        err_set(err, ERR_BAD_REQUEST, "\"%s\" is an IP address", name);
        return err_hint(err, "keyd makes requests for DNS names alone");
    }
    if (strstr(base, "://") || strpbrk(base, ":/@")) {
        bad(err, name, "it looks like a URL or address");
        return err_hint(err, "give the host name alone, as in www.example.com");
    }
    if (strchr(base, '*')) {
        bad(err, name, "a wildcard stands for the whole leftmost label");
        return err_hint(err, "as in *.example.com");
    }
    if (stranger(base))
        return bad(err, name, "it has a character other than letters, digits, hyphens and dots");
    return true;
}

static bool label_fits(const char *label, size_t len)
{
    static const char ldh[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    if (len < 1 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
        return false;
    if (len >= 4 && label[2] == '-' && label[3] == '-' && memcmp(label, "xn", 2) != 0)
        return false;
    return strspn(label, ldh) >= len;
}

/* What libidn2 gave: labels of letters, digits and hyphens (RFC 1123 2.1), the last one not all
 * digits. Returns the number of labels, 0 if one does not fit. */
static unsigned count_labels(const char *name)
{
    unsigned count = 0;

    for (const char *at = name;; at++) {
        size_t len = strcspn(at, ".");
        if (!label_fits(at, len))
            return 0;
        count++;
        if (at[len] == '\0')
            return strspn(at, "0123456789") == len ? 0 : count;
        at += len;
    }
}

static void free_idn(char **name)
{
    idn2_free(*name);
}

bool dns_name_normalize(const char *name, char ret[DNS_NAME_MAX + 1], struct err *err)
{
    bool wildcard = strncmp(name, "*.", 2) == 0;
    const char *base = wildcard ? name + 2 : name;
    CLEANUP(free_idn) char *ascii = NULL;

    TRY(check_form(name, base, err));
    int rc = idn2_to_ascii_8z(base, &ascii,
                              IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
    if (rc != IDN2_OK)
        return bad(err, name, idn2_strerror(rc));
    size_t len = strlen(ascii), room = wildcard ? DNS_NAME_MAX - 2 : DNS_NAME_MAX;
    if (len > room)
        return bad(err, name, "it is longer than 253 characters");
    if (len > 0 && ascii[len - 1] == '.')
        return bad(err, name, "leave out the dot at the end");
    unsigned labels = count_labels(ascii);
    if (labels == 0)
        return bad(err, name,
                   "a label has 1 to 63 letters, digits or hyphens, with no hyphen at "
                   "its ends, and the last label is no number");
    if (wildcard && labels < 2)
        return bad(err, name, "a wildcard stands before at least two labels");
    memcpy(ret, "*.", 2);
    memcpy(ret + (wildcard ? 2 : 0), ascii, len + 1);
    return true;
}

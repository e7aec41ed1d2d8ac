/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs_names: the DNS names that a key may ask certificates for. A pattern is
 *   www.example.com   that name alone;
 *   *.example.com     one label before example.com, a wildcard label too;
 *   .example.com      any number of labels before example.com, from one on.
 * Names and patterns are A-labels (RFC 5890 2.3.2.1); case does not matter.
 */
#ifndef KEYD_POLICY_TBS_NAMES_H
#define KEYD_POLICY_TBS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tbs_names {
    const char *const *names; /* patterns */
    size_t count;             /* 0: any name */
};

/* Whether these bytes are a host name, letter-digit-hyphen labels (RFC 1123 2.1) with "*" allowed
 * as the whole first one (RFC 6125 6.4.3), that one of the patterns covers. Without patterns:
 * always true, whatever the bytes are. */
bool tbs_name_allowed(const struct tbs_names *allowed, const uint8_t *name, size_t len);

#endif

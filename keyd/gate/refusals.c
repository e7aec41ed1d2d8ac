/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/refusals.h"

#include <stdio.h>

#include "keyd/process/log.h"
#include "proto/base/clock.h"

static const char *const names[REFUSALS] = {
    [REFUSAL_NOT_TLS] = "not TLS",
    [REFUSAL_TLS_VERSION] = "TLS older than 1.3",
    [REFUSAL_STALLED] = "no hello in time",
    [REFUSAL_CROWDED_OUT] = "too many without a hello: the oldest went",
    [REFUSAL_CERT_EXPIRED] = "client certificate expired",
    [REFUSAL_CERT_REVOKED] = "client certificate revoked",
    [REFUSAL_CERT_PURPOSE] = "client certificate made for another purpose",
    [REFUSAL_CERT_UNKNOWN_CA] = "client certificate of an unknown CA",
    [REFUSAL_CRL] = "no valid CRL for the client certificate",
    [REFUSAL_CERT_OTHER] = "client certificate does not verify",
    [REFUSAL_HANDSHAKE] = "TLS handshake failed",
    [REFUSAL_TWO_IDENTITIES] = "client certificate with two identities",
    [REFUSAL_NOTHING_PROVEN] = "neither a client certificate nor a token",
    [REFUSAL_NOBODY] = "nobody known",
    [REFUSAL_TOKEN] = "API token not good",
    [REFUSAL_DENY_LIST] = "on the deny list",
    [REFUSAL_NO_MORE] = "somebody else now",
    [REFUSAL_OVERSIZE] = "a frame larger than may be",
    [REFUSAL_NO_MESSAGE] = "no message of the protocol",
};

const char *refusal_name(enum refusal r)
{
    return names[r];
}

static void say(struct refusal_row *row, enum refusal reason, const char *who, const char *why)
{
    uint64_t more = row->count - row->said - 1;
    char rest[64] = "";

    if (more)
        snprintf(rest, sizeof(rest), " (and %llu more like this before)", (unsigned long long)more);
    log_line(LOG_LEVEL_WARNING, "refused: %s: %s%s%s%s", names[reason], who, *why ? ": " : "", why,
             rest);
    row->said = row->count;
}

void refusal_count(struct refusals *r, enum refusal reason)
{
    r->rows[reason].count++;
}

void refusal_add(struct refusals *r, enum refusal reason, const char *who, const char *why)
{
    struct refusal_row *row = &r->rows[reason];
    uint64_t now = clock_us();

    refusal_count(r, reason);
    if (now < row->quiet)
        return;
    row->quiet = now + REFUSAL_QUIET_S * 1000000ull;
    say(row, reason, who, why);
}

void refusal_add_sign(struct refusals *r, enum err_code code)
{
    if ((unsigned)code < REFUSAL_CODES)
        r->sign[code]++;
}

static bool nth_sign(const struct refusals *r, size_t i, char *buf, size_t size,
                     uint64_t *ret_count)
{
    for (unsigned code = 0; code < REFUSAL_CODES; code++) {
        if (r->sign[code] == 0 || i-- > 0)
            continue;
        snprintf(buf, size, "sign: %s", err_name((enum err_code)code));
        *ret_count = r->sign[code];
        return true;
    }
    return false;
}

bool refusal_at(const struct refusals *r, size_t i, char *buf, size_t size, uint64_t *ret_count)
{
    for (unsigned n = 0; n < REFUSALS; n++) {
        if (r->rows[n].count == 0 || i-- > 0)
            continue;
        snprintf(buf, size, "%s", names[n]);
        *ret_count = r->rows[n].count;
        return true;
    }
    return nth_sign(r, i, buf, size, ret_count);
}

void refusals_put(struct chan *c, const struct refusals *r)
{
    char name[96];
    uint64_t count;
    uint32_t n = 0;

    while (refusal_at(r, n, name, sizeof(name), &count))
        n++;
    put_u32(c, n);
    for (uint32_t i = 0; i < n && refusal_at(r, i, name, sizeof(name), &count); i++) {
        put_str(c, name);
        put_u64(c, count);
    }
}

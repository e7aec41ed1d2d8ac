/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/x509/quote.h"

#include <string.h>

const char *quote(const char *text, char buf[QUOTE_SIZE])
{
    size_t len = strnlen(text, QUOTE_MAX + 1), cut = len;

    if (len > QUOTE_MAX)
        for (cut = QUOTE_MAX; cut > 0 && (text[cut] & 0xc0) == 0x80; cut--)
            ;
    memcpy(buf, text, cut);
    memcpy(buf + cut, cut < len ? "..." : "", cut < len ? 4 : 1);
    return buf;
}

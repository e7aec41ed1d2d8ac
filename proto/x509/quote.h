/* SPDX-License-Identifier: Apache-2.0
 *
 * quote: what someone typed, for an error: short enough to leave room for what is wrong with it.
 */
#ifndef KEYD_PROTO_X509_QUOTE_H
#define KEYD_PROTO_X509_QUOTE_H

#define QUOTE_MAX  96 /* bytes of the text that are shown */
#define QUOTE_SIZE (QUOTE_MAX + 4)

/* The text, or its first characters (whole ones of UTF-8) and "...", in buf. Returns buf. */
const char *quote(const char *text, char buf[QUOTE_SIZE]);

#endif

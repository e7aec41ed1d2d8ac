/* SPDX-License-Identifier: Apache-2.0
 *
 * names: the numbers of PKCS#11 in words, so that no error and no listing shows a bare number that
 * has a name.
 */
#ifndef KEYD_TOKEN_NAMES_H
#define KEYD_TOKEN_NAMES_H

#include <p11-kit/pkcs11.h>

#include <stddef.h>

#define NAMES_TEXT_MAX 32

enum names_kind { NAMES_RESULT, NAMES_CLASS, NAMES_KEY_TYPE, NAMES_ATTRIBUTE, NAMES_MECHANISM };

/* "CKR_DEVICE_MEMORY" for (NAMES_RESULT, 0x31), static; NULL for a number without a name here. */
const char *names_find(enum names_kind kind, CK_ULONG value);

/* As names_find; a number without a name is written into buf as "CKR_0x80000001". */
const char *names_text(enum names_kind kind, CK_ULONG value, char buf[NAMES_TEXT_MAX]);

#endif

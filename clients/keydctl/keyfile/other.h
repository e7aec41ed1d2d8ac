/* SPDX-License-Identifier: Apache-2.0
 *
 * other: a file that is not what was asked for says what it is instead, and where the key may be.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_OTHER_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_OTHER_H

#include "clients/keydctl/keyfile/pem.h"

/* Whether a PEM label is that of a private key that keyd can read. */
bool other_is_key_label(const char *label);

/* ERR_BAD_REQUEST: what a PEM block is that is not `wanted` ("private key"). Always returns false.
 */
bool other_pem(const struct pem_block *block, const char *wanted, struct err *err);

/* ERR_BAD_REQUEST: what a DER value is that is not `wanted`. Always returns false. */
bool other_der(const struct rd *der, const char *wanted, struct err *err);

/* ERR_BAD_REQUEST: what bytes are that are neither PEM nor DER. Always returns false. */
bool other_bytes(const struct rd *bytes, const char *wanted, struct err *err);

#endif

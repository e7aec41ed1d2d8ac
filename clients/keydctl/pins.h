/* SPDX-License-Identifier: Apache-2.0
 *
 * pins: which import key this user trusts at which socket, as ssh's known_hosts does for hosts.
 * Kept in $XDG_CONFIG_HOME/keydctl/import-keys (~/.config/keydctl/import-keys), one line a socket:
 * 64 hex digits, a blank, the path of the socket. Lines that begin with # are for people.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_PINS_H
#define KEYD_CLIENTS_KEYDCTL_PINS_H

#include <stdint.h>

#include "proto/base/err.h"

#define PIN_LEN      32 /* SHA-256 over the SubjectPublicKeyInfo */
#define PIN_HEX_SIZE (2 * PIN_LEN + 1)

/* Reads 64 hex digits. ERR_BAD_REQUEST; `what` names it ("--fingerprint"). */
bool pin_parse(const char *hex, const char *what, uint8_t ret[PIN_LEN], struct err *err) MUST_USE;

/* Writes the 64 hex digits to buf. Returns buf. */
const char *pin_text(const uint8_t pin[PIN_LEN], char buf[PIN_HEX_SIZE]);

/* The pin of a socket; *ret_found is false if it has none. ERR_STORAGE; ERR_DENIED: others can
 * change the file; ERR_BAD_REQUEST: a line of it cannot be read. */
bool pins_get(const char *socket, uint8_t ret[PIN_LEN], bool *ret_found, struct err *err) MUST_USE;

/* Sets the pin of a socket, or removes it (pin NULL). The file is replaced as a whole. Errors as
 * pins_get. */
bool pins_set(const char *socket, const uint8_t *pin, struct err *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs: what is it that we are asked to sign? One recogniser a file, each a pure function from bytes
 * to a purpose: no state, no allocation, and a byte left over is a refusal (design D1).
 */
#ifndef KEYD_POLICY_TBS_H
#define KEYD_POLICY_TBS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/keys.h"

/* Recognises the TLS shapes: PURPOSE_TLS13_SERVER, PURPOSE_TLS13_CLIENT or PURPOSE_TLS12_SERVER. 0
 * with ERR_BAD_SHAPE for anything else; the text says what is wrong with it. */
enum purpose tbs_recognise(const uint8_t *message, size_t len, struct err *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: the process that meets strangers. It has the listening socket, reads frames, knows who may
 * do what, queues, and hands calls on: the signing gate to the signers, the control gate to the
 * custodian. It never sees the token.
 */
#ifndef KEYD_GATE_GATE_H
#define KEYD_GATE_GATE_H

#include "keyd/process/msg.h"

/* Runs a gate; which of the two is said by parent->self. Returns the exit status, after a drain or
 * when the parent is gone. */
int gate_main(struct chan *parent);

/* The files of the TLS listener. The parent reads them and hands them on as one bundle: for each,
 * in this order, its path as wr_text writes it (empty: not configured), 4 bytes of length, and what
 * stands in it. */
enum tls_file { TLS_CERTIFICATE, TLS_KEY, TLS_CA, TLS_CRL, TLS_DENY, TLS_FILES };

/* The setting that names the file: "certificate". */
const char *gate_tls_file(enum tls_file which);

/* Whether a gate can serve with this bundle. The error names the file and what is wrong with it;
 * *ret_warning says what expires soon, or is empty. */
bool gate_tls_check(const uint8_t *bundle, size_t len, char *ret_warning, size_t size,
                    struct err *err) MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * config: keyd.conf. One table (config.c) declares every setting: section, key, type, limits,
 * default and what it means; `keyd --print-config` shows it. Unknown keys are refused.
 */
#ifndef KEYD_CONFIG_H
#define KEYD_CONFIG_H

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "keyd/gate/gate.h"
#include "keyd/policy/principal.h"
#include "proto/base/err.h"

#define CONFIG_DEFAULT_PATH "/etc/keyd/keyd.conf"
#define SOCKET_PATH_MAX     107 /* sun_path less its zero, unix(7) */

enum { SOCKET_FRONTEND, SOCKET_CONTROL_PLANE, SOCKETS };

struct config {
    /* [keyd] */
    char state_dir[512];
    char user[64];
    uint32_t signers;
    bool landlock_optional;
    uint32_t restart_delay_max_ms;
    /* [token] */
    char token_uri[1024];
    uint32_t signer_timeout_ms;
    /* [sockets] */
    char run_dir[512];
    char frontend_group[64], control_group[64];
    /* [tls] */
    char tls_listen[SOCKETS][72];   /* "127.0.0.1:7443", "[::1]:7443"; empty: none */
    char tls_files[TLS_FILES][512]; /* by enum tls_file; empty: none */
    uint32_t handshakes;
    /* [limits] */
    uint32_t connections;
    uint32_t in_flight;
    uint32_t queue;
    uint32_t buffers_mib;
    uint32_t default_deadline_ms, max_deadline_ms;
    uint32_t principal_rate, key_rate, principal_in_flight, key_in_flight;
    /* [principals]: those of the file, then root and keyd's own user as operators */
    struct rule rules[RULES_MAX];
    size_t rule_count;
};

/* Reads the file; every setting that it leaves out has its default (a missing file is an error).
 * The error names file, line, section, key, and the nearest known key. */
bool config_read(struct config *ret, const char *path, struct err *err) MUST_USE;

/* Prints every setting, what it means and its default, in the form of keyd.conf. */
void config_print(FILE *out);

/* The path of a socket ("frontend/keyd.sock") below run_dir; refuses one over 107 bytes. */
bool config_socket_path(const struct config *c, const char *name, char ret[SOCKET_PATH_MAX + 1],
                        struct err *err) MUST_USE;

/* The address of a TLS listener: numbers, nothing is looked up. */
bool config_tls_address(const struct config *c, size_t which, struct sockaddr_storage *ret,
                        socklen_t *ret_len, struct err *err) MUST_USE;

/* Whether a running keyd can take `now` over from `old` on SIGHUP: only [limits], [principals], the
 * files of [tls], signer-timeout-ms and restart-delay-max-ms may differ. The error names the first
 * setting that needs a restart. */
bool config_reloadable(const struct config *old, const struct config *now,
                       struct err *err) MUST_USE;

#endif

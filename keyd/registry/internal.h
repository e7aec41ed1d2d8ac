/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REGISTRY_INTERNAL_H
#define KEYD_REGISTRY_INTERNAL_H

#include "keyd/registry/db.h"
#include "keyd/registry/registry.h"

struct registry {
    struct db *db;
};

/* Seconds since 1970, UTC. */
uint64_t registry_now(void);

#endif

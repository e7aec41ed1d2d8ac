/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/custodian/internal.h"

/* What whoever is no operator may have keys made for. */
#define ORDINARY (PURPOSES_TLS | PURPOSE_CSR)

const char *scope_within(const struct ask *ask)
{
    return ask->scope == SCOPE_OWN ? ask->who->tenant : "";
}

bool scope_tenant(const struct ask *ask, const char *tenant, struct err *err)
{
    const char *within = scope_within(ask);

    TRY(name_check(tenant, "tenant", err));
    return !*within || strcmp(tenant, within) == 0 || registry_tenant_unknown(tenant, err);
}

bool scope_key(struct custodian *c, const struct ask *ask, const char *name,
               struct registry_key *ret, struct err *err)
{
    return registry_key_find(c->registry, name, scope_within(ask), ret, err);
}

bool scope_purposes(const struct ask *ask, uint32_t purposes, struct err *err)
{
    char names[128];

    if (ask->who->role == ROLE_OPERATOR || !(purposes & ~(uint32_t)ORDINARY))
        return true;
    err_set(err, ERR_DENIED, "only an operator makes keys for %s",
            purposes_text(purposes & ~(uint32_t)ORDINARY, names, sizeof(names)));
    return err_hint(err, "keys for %s may be made by the role %s",
                    purposes_text(ORDINARY, names, sizeof(names)), role_name(ask->who->role));
}

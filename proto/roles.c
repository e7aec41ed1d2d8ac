/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/roles.h"

#include <string.h>

static const struct {
    enum role role;
    const char *name;
} roles[ROLE_COUNT] = {
    {ROLE_OPERATOR, "operator"}, {ROLE_TENANT, "tenant"}, {ROLE_FRONTEND, "frontend"},
    {ROLE_AGENT, "agent"},       {ROLE_ISSUER, "issuer"}, {ROLE_AUDITOR, "auditor"},
};

enum role role_at(size_t i)
{
    return i < ROLE_COUNT ? roles[i].role : ROLE_NONE;
}

const char *role_name(enum role role)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (roles[i].role == role)
            return roles[i].name;
    return "none";
}

enum role role_by_name(const char *name)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].role;
    return ROLE_NONE;
}

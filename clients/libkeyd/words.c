/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/keyd.h"
#include "proto/keys.h"
#include "proto/roles.h"

_Static_assert((int)KEYD_KEY_RSA_2048 == (int)KEY_TYPE_RSA_2048 &&
                   (int)KEYD_KEY_ED25519 == (int)KEY_TYPE_ED25519,
               "the types are the wire's");
_Static_assert((int)KEYD_ROLE_OPERATOR == (int)ROLE_OPERATOR &&
                   (int)KEYD_ROLE_AUDITOR == (int)ROLE_AUDITOR,
               "and so are the roles");

const char *keyd_code_name(int code)
{
    return code == KEYD_OK ? "OK" : err_name((enum err_code)code);
}

int keyd_key_type_by_name(const char *name)
{
    return (int)key_type_by_name(name);
}

const char *keyd_key_type_name(int type)
{
    const struct key_type_info *info = key_type_info((enum key_type)type);

    return info ? info->name : NULL;
}

const char *keyd_purpose_name(unsigned bit)
{
    if (bit >= 31 || !(PURPOSES_ALL & 1u << bit))
        return NULL;
    return purpose_name((enum purpose)(1u << bit));
}

int keyd_role_by_name(const char *name)
{
    return (int)role_by_name(name);
}

const char *keyd_role_name(int role)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if ((int)role_at(i) == role)
            return role_name(role_at(i));
    return NULL;
}

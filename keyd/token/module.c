/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/module.h"

#include <errno.h>
#include <p11-kit/p11-kit.h>
#include <syslog.h>
#include <unistd.h>

#include "keyd/token/internal.h"
#include "proto/base/mem.h"

static bool load(struct module *m, const char *path, struct err *err)
{
    if (access(path, R_OK) != 0) {
        err_errno(err, ERR_STORAGE, errno, "cannot read the PKCS#11 module %s", path);
        return err_hint(err, "check module-path in the token's URI, and that its package is there");
    }
    m->p11 = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED);
    if (m->p11)
        return true;
    const char *why = p11_kit_message();
    err_set(err, ERR_STORAGE, "%s is no PKCS#11 module: %s", path, why ? why : "it will not load");
    return err_hint(err, "module-path in the token's URI must name a PKCS#11 library");
}

bool module_load(struct module *ret, const char *path, struct err *err)
{
    struct module m = {0};

    /* Errors arrive as CK_RV. What a module also says by syslog(3) would need a socket, which a
     * confined process does not have. */
    setlogmask(LOG_MASK(LOG_EMERG));
    p11_kit_be_quiet();
    TRY(load(&m, path, err));
    CK_RV rv = p11_kit_module_initialize(m.p11);
    if (rv != CKR_OK) {
        module_unload(&m);
        rv_fail("C_Initialize", rv, err);
        err->code = ERR_UNAVAILABLE;
        return err_prefix(err, "the PKCS#11 module %s does not start", path);
    }
    m.initialised = true;
    *ret = m;
    return true;
}

void module_unload(struct module *m)
{
    if (m->initialised)
        (void)p11_kit_module_finalize(m->p11);
    if (m->p11)
        p11_kit_module_release(m->p11);
    *m = (struct module){0};
}

bool module_slots(const struct module *m, CK_SLOT_ID **ret, size_t *ret_count, struct err *err)
{
    CK_ULONG count = 0;
    CK_RV rv = m->p11->C_GetSlotList(CK_TRUE, NULL, &count);

    if (rv != CKR_OK)
        return rv_fail("C_GetSlotList", rv, err);
    AUTO_FREE CK_SLOT_ID *slots = mem_array(count, sizeof(*slots));
    if (!slots)
        return err_set(err, ERR_INTERNAL, "no memory for %lu slots", count);
    rv = m->p11->C_GetSlotList(CK_TRUE, slots, &count);
    if (rv != CKR_OK)
        return rv_fail("C_GetSlotList", rv, err);
    *ret_count = count;
    *ret = TAKE(slots);
    return true;
}

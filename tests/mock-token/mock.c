/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mock-token/mock.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

/* PKCS#11 v2.40 5.3. */
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

static CK_FUNCTION_LIST *inner;

/* No core file and no signal handler of a sanitizer: gone, as by kill -9. */
static void crash(const char *when)
{
    journal_end_word(when);
    raise(SIGKILL);
}

static void wait_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* The call begins; true: it is to be passed on. */
static bool before(const struct fate *fate)
{
    if (fate->slow_ms)
        wait_ms(fate->slow_ms);
    if (fate->hang)
        journal_end_word("hangs");
    while (fate->hang)
        poll(NULL, 0, 1000);
    if (fate->crash)
        crash("crashes");
    return !fate->fail;
}

/* The call is over; its result. */
static CK_RV after(const struct fate *fate, CK_RV rv)
{
    if (fate->crash_after)
        crash("crashes after it");
    if (fate->fail || fate->fail_after)
        rv = fate->rv;
    journal_end(rv);
    return rv;
}

#define CALL(name, params, args, said)                                                             \
    static CK_RV mock_##name params                                                                \
    {                                                                                              \
        CK_RV rv = CKR_OK;                                                                         \
                                                                                                   \
        script_refresh();                                                                          \
        const struct fate fate = script_fate(#name);                                               \
        journal_begin(#name);                                                                      \
        said;                                                                                      \
        if (before(&fate))                                                                         \
            rv = inner->name args;                                                                 \
        return after(&fate, rv);                                                                   \
    }
#include "tests/mock-token/functions.def"
#undef CALL

static CK_FUNCTION_LIST mine = {
    .C_GetFunctionList = C_GetFunctionList,
#define CALL(name, params, args, said) .name = mock_##name,
#include "tests/mock-token/functions.def"
#undef CALL
};

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
    void *lib = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    void *symbol = lib ? dlsym(lib, "C_GetFunctionList") : NULL;
    CK_FUNCTION_LIST *real;
    CK_C_GetFunctionList get;

    memcpy(&get, &symbol, sizeof(get));
    if (!symbol || get(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    inner = lies_over(real);
    journal_ask(real);
    mine.version = real->version;
    *list = &mine;
    return CKR_OK;
}

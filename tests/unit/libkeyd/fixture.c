/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libkeyd/fixture.h"

#include <sys/wait.h>
#include <unistd.h>

struct keyd_client *new_client(uint32_t deadline_ms)
{
    struct keyd_client *c = NULL;
    struct keyd_error error;

    if (keyd_client_new(&c, scratch_path("keyd.sock"), deadline_ms, "test 1.0", &error) != KEYD_OK)
        fail_msg("keyd_client_new: %s", error.message);
    return c;
}

struct server *new_server(const struct server_knobs *knobs)
{
    return server_start(scratch_path("keyd.sock"), knobs);
}

int sign_once(struct keyd_client *client, struct keyd_error *error)
{
    static const uint8_t message[] = "the whole message, never a digest";
    uint8_t sig[KEYD_SIGNATURE_MAX];
    size_t len = sizeof(sig);
    int code =
        keyd_sign(client, server_key_id(), 0x0403, message, sizeof(message), sig, &len, error);

    if (code == KEYD_OK && !server_verifies(message, sizeof(message), sig, len))
        return -1;
    return code;
}

void in_child(int (*fn)(void *), void *arg)
{
    /* The server's thread comes to rest: AddressSanitizer's allocator (GCC 12) keeps a lock for
     * ever that another thread holds at the moment of a fork. */
    usleep(20000);
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60); /* a deadlock is a failure, not a hang */
        _exit(fn(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with status 0x%x", (unsigned)status);
}

int fixture_done(void **state)
{
    (void)state;
    scratch_done();
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * stall: TLS clients that begin a handshake and say no more.
 *
 *   stall ADDRESS PORT COUNT
 *
 * Opens so many connections, sends the first bytes of a ClientHello on each, says "stalled N" and
 * holds all of them until its stdin ends. Needs as many descriptors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A handshake record of 512 bytes, of which a ClientHello's beginning is here (RFC 8446 5.1). */
static const unsigned char beginning[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc};

static int begin(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        return -1;
    /* it may be gone already: others came */
    return send(fd, beginning, sizeof(beginning), MSG_NOSIGNAL) < 0 && errno != EPIPE &&
                   errno != ECONNRESET
               ? -1
               : fd;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct rlimit files;
    char byte;

    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    long count = strtol(argv[3], NULL, 10);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    for (long i = 0; i < count; i++) {
        if (begin(&to) < 0) {
            fprintf(stderr, "stall: after %ld: %s\n", i, strerror(errno));
            return 1;
        }
    }
    printf("stalled %ld\n", count);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0;
}

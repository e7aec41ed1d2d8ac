/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/stream.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool for_later(int e)
{
    return e == EAGAIN || e == EINTR;
}

static ssize_t plain_read(struct stream *s, void *p, size_t n)
{
    ssize_t r = recv(s->fd, p, n, 0);

    if (r >= 0)
        return r;
    return for_later(errno) ? STREAM_AGAIN : STREAM_BROKEN;
}

static int cut(size_t n)
{
    return n < INT_MAX ? (int)n : INT_MAX;
}

/* What libssl made of a read that gave nothing. Its error queue is left for tls_failure. */
static ssize_t nothing_read(struct stream *s, int r)
{
    switch (SSL_get_error(s->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return STREAM_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        s->wants_write = true;
        return STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return STREAM_BROKEN;
    }
}

ssize_t stream_read(struct stream *s, void *p, size_t n)
{
    if (!s->ssl)
        return plain_read(s, p, n);
    ERR_clear_error();
    s->wants_write = false;
    int r = SSL_read(s->ssl, p, cut(n));
    s->more = r > 0;
    s->ready = s->ready || SSL_is_init_finished(s->ssl); /* it is not any more after an error */
    return r > 0 ? r : nothing_read(s, r);
}

static ssize_t plain_write(struct stream *s, const void *p, size_t n)
{
    ssize_t r = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (r >= 0)
        return r;
    return for_later(errno) ? STREAM_AGAIN : STREAM_BROKEN;
}

ssize_t stream_write(struct stream *s, const void *p, size_t n)
{
    if (!s->ssl)
        return plain_write(s, p, n);
    if (!stream_ready(s))
        return STREAM_BROKEN; /* nobody is there yet who could be told */
    ERR_clear_error();
    int r = SSL_write(s->ssl, p, cut(n));
    if (r > 0)
        return r;
    return SSL_get_error(s->ssl, r) == SSL_ERROR_WANT_WRITE ? STREAM_AGAIN : STREAM_BROKEN;
}

/* Part of a record may lie in ssl too: after a read that found no more, only the socket helps. */
bool stream_pending(const struct stream *s)
{
    return s->ssl && s->more && SSL_has_pending(s->ssl);
}

bool stream_ready(const struct stream *s)
{
    return !s->ssl || s->ready;
}

void stream_close(struct stream *s)
{
    SSL_free(s->ssl);
    s->ssl = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/certs/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

static char dir[64];

static const char script[] =
    "set -e; cd \"$1\"; unset OPENSSL_CONF; exec 2> log\n"
    "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "for a in ca other; do\n"
    "  openssl req -x509 $new -days 9 -subj /CN=$a -keyout $a.key -out $a.pem; done\n"
    "issue() {\n" /* issuer name serial days extensions */
    "  openssl req $new -subj /CN=$2 -keyout $2.key -out $2.csr\n"
    "  printf '%b\\n' \"$5\" > ext\n"
    "  openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1.key -set_serial $3 -days $4 "
    "-extfile ext -out $2.crt; }\n"
    "u=URI:spiffe://test/fe-1; c=extendedKeyUsage=clientAuth; s=extendedKeyUsage=serverAuth\n"
    "issue ca server 1 9 \"$s\\nsubjectAltName=IP:127.0.0.1,DNS:localhost\"\n"
    "issue ca client 2 9 \"$c\\nsubjectAltName=$u\"\n"
    "issue ca two 3 9 \"$c\\nsubjectAltName=$u,URI:spiffe://test/fe-2\"\n"
    "issue ca bare 4 9 \"$c\"\n"
    "issue ca purpose 5 9 \"$s\\nsubjectAltName=$u\"\n"
    "issue ca late 6 0 \"$c\\nsubjectAltName=$u\"\n"
    "issue other stranger 7 9 \"$c\\nsubjectAltName=$u\"\n"
    "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ndefault_md=sha256\\n' > cnf; : > index\n"
    "crl() { openssl ca -gencrl -config cnf -keyfile $1.key -cert $1.pem -crldays 9 -out $2; }\n"
    "crl ca crl.pem; crl other foreign.pem\n"
    "printf 'R\\t350101000000Z\\t250101000000Z\\t02\\tunknown\\t/CN=client\\n' > index\n"
    "crl ca revoked.pem; chmod 600 *.key; sleep 1\n"; /* "late" ends now, to the second */

const char *certs_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char command[sizeof(script) + 128];

    snprintf(dir, sizeof(dir), "%s/keyd-certs-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof(command), "set -- %s; %s", dir, script);
    if (system(command) != 0) /* a test's own words */
        fail_msg("the openssl command made no certificates: see %s/log", dir);
    return dir;
}

const char *certs_path(const char *name)
{
    static char paths[32][160];
    static unsigned next;
    char *path = paths[next++ % 32];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

char *certs_read(const char *name, size_t *ret_len)
{
    FILE *f = fopen(certs_path(name), "re");
    char *text = calloc(1, 65536);

    assert_non_null(f);
    assert_non_null(text);
    *ret_len = fread(text, 1, 65535, f);
    fclose(f);
    return text;
}

void certs_done(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf --one-file-system '%s'", dir);
    assert_int_equal(system(command), 0);
}

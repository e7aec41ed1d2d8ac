#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# presets: release
#
# readme: the README's commands, taken from it and typed as they stand there.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Where the README expects the quickstart's keyd.
export TMPDIR=$T
DIR=$T/keyd-quickstart-$(id -u)
WORK=$T/work
mkdir "$WORK"

quickstart() {
    "$ROOT/scripts/quickstart" > "$T/log/quickstart.log" 2>&1 || fail "$(tail -n 5 "$T/log/quickstart.log")"
    started "$(cat "$DIR/keyd.pid")"
    started "$(cat "$DIR/nginx.pid")"
}
begin quickstart

case_by_hand() {
    block README.md by-hand > "$WORK/by-hand.sh"
    (cd "$WORK" && bash -eu by-hand.sh) > "$WORK/by-hand.out"
    has "$(cat "$WORK/by-hand.out")" acme www tls13-server CKO_PRIVATE_KEY
    openssl req -in "$WORK/www.csr" -noout -verify
    has "$(cat "$WORK/www.ref.pem")" "KEYD KEY REFERENCE"
}

case_own_nginx() {
    local port lines head
    port=$(free_port)
    openssl x509 -req -in "$WORK/www.csr" -CA "$DIR/ca/ca.pem" -CAkey "$DIR/ca/ca.key" -days 2 \
        -copy_extensions copy -out "$WORK/www.crt"
    lines=$(block README.md nginx | sed "s,/etc/nginx/,$WORK/,")
    [ "$(block README.md nginx | grep -c .)" -le 10 ] || fail "more than ten lines"
    head=$(grep '^env' <<< "$lines")
    {
        [ "$(id -u)" != 0 ] || echo "user www-data;"
        printf '%s\npid %s/nginx.pid;\nerror_log %s/nginx.log;\nevents {}\nhttp {\naccess_log off;\n' "$head" "$WORK" "$T/log"
        for temp in client_body proxy fastcgi uwsgi scgi; do echo "${temp}_temp_path $WORK/$temp;"; done
        echo "server { listen 127.0.0.1:$port ssl; server_name www.example.com;"
        grep -v '^env' <<< "$lines"
        printf '%s\n' 'location / { return 200 "my own nginx"; } } }'
    } > "$WORK/nginx.conf"
    # the README's nginx is the system's; here it gets a place of its own
    mkdir -p "$WORK/bin"
    printf '#!/bin/sh\nexec %s -p %s -e %s/nginx.log -c %s/nginx.conf "$@"\n' \
        "$(command -v nginx)" "$WORK" "$T/log" "$WORK" > "$WORK/bin/nginx"
    chmod +x "$WORK/bin/nginx"
    has "$(block README.md nginx-start | PATH=$WORK/bin:$PATH bash -eu 2>&1)" keyd
    soon 10 test -s "$WORK/nginx.pid"
    started "$(cat "$WORK/nginx.pid")"
    soon 10 listening "$port"
    equal "my own nginx" "$(curl -sS --max-time 10 --cacert "$DIR/ca/ca.pem" \
        --resolve "www.example.com:$port:127.0.0.1" "https://www.example.com:$port/")"
}

# ---- from another machine: a keyd of the test's own, with the README's settings

# issue NAME EXTENSION: $WORK/NAME.crt of $WORK/ca.crt for $WORK/NAME.key, which is made.
issue() {
    (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$WORK/$1.key")
    openssl req -new -key "$WORK/$1.key" -subj "/CN=$1" -out "$WORK/$1.csr"
    certify "$1" "$2"
}
certify() {
    openssl x509 -req -in "$WORK/$1.csr" -CA "$WORK/ca.crt" -CAkey "$WORK/ca.key" -days 2 \
        -extfile <(echo "subjectAltName=$2") -out "$WORK/$1.crt" 2> /dev/null
}
# here: the paths and the address of a block, where this test has them.
here() { sed "s,/etc/keyd/tls/clients.crt,$WORK/ca.crt,; s,/etc/keyd[a-z/-]*/,$WORK/,; s,192.0.2.7:7443,127.0.0.1:$TLS_PORT,"; }

handshake_by_tls() {
    timeout 20 openssl s_client -connect "127.0.0.1:$1" -CAfile "$WORK/ca.crt" -verify_return_error \
        < /dev/null 2>&1 | grep "Verification: OK"
}

case_from_another_machine() {
    local port
    TLS_PORT=$(free_port) port=$(free_port)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
        -keyout "$WORK/ca.key" -out "$WORK/ca.crt" 2> /dev/null
    issue keyd IP:127.0.0.1
    issue fe-12 URI:spiffe://platform/frontend/fe-12
    : > "$WORK/deny"
    configure "$(block README.md tls | here)
[principals]
$(block README.md principals | grep 'fe-\*')
ops = operator user=$(id -un)"
    init_token
    start_keyd
    ctl tenants-add acme
    ctl keys-generate --tenant acme --name www --type ec-p256
    ctl grants-add --principal fe-12 --key acme/www
    ctl keys-ref acme/www > "$WORK/www.ref.pem"
    ctl csr --key acme/www --subject CN=www.example.com --san www.example.com > "$WORK/www.csr"
    certify www DNS:www.example.com
    {
        sed "s,@KEYD_PROVIDER_PATH@,$PROVIDER,; /^socket/d" "$ROOT/clients/provider/openssl.cnf.in"
        block README.md tls-frontend | here
    } > "$WORK/fe-12.cnf"
    OPENSSL_CONF=$WORK/fe-12.cnf openssl s_server -accept "127.0.0.1:$port" -cert "$WORK/www.crt" \
        -key "$WORK/www.ref.pem" -www > "$T/log/s_server.log" 2>&1 < /dev/null &
    started $!
    soon 10 listening "$port"
    soon 10 handshake_by_tls "$port"
    has "$(ctl config-test --as fe-12)" acme/www
    echo fe-12 >> "$WORK/deny"
    kill -HUP "$(cat "$T/keyd.pid")"
    soon 5 cut_off
    refused any handshake_by_tls "$port"
}
cut_off() { [ "$(counted "on the deny list")" -gt 0 ]; }

# Every script and folder that it names is there.
case_names() {
    local name
    # shellcheck disable=SC2016
    for name in $(grep -oE '`(scripts|proto|keyd|clients|tests)/[a-z/]*`' "$ROOT/README.md" | tr -d '\`' | sort -u); do
        [ -e "$ROOT/$name" ] || fail "$name is not there"
    done
}

case_clean_up() { "$ROOT/scripts/quickstart" --clean; }

run_cases "$@"

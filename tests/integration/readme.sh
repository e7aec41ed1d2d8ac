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

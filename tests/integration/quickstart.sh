#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# presets: release
#
# quickstart: scripts/quickstart as a newcomer runs it, twice, then --stop and --clean.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export TMPDIR=$T
DIR=$T/keyd-quickstart-$(id -u)
quickstart() { "$ROOT/scripts/quickstart" "$@"; }
# What it started must end with us, whatever happens; pids are known when it has run.
note_pids() {
    started "$(cat "$DIR/keyd.pid")"
    started "$(cat "$DIR/nginx.pid")"
}

case_first() {
    local out
    out=$(quickstart)
    note_pids
    has "$out" "[1/10]" "[10/10]" "TLSv1.3" "TLSv1.2" "hello from ec.keyd.test" "hello from rsa.keyd.test" \
        "--clean"
    equal 4 "$(grep -c 'openssl s_client ' <<< "$out")"
    equal 4 "$(grep -c 'curl  ' <<< "$out")"
}

case_files() {
    equal 700 "$(stat -c %a "$DIR/state")"
    equal 600 "$(stat -c %a "$DIR/state/user.pin")"
    lacks "$(cat "$DIR"/*.ref.pem)" PRIVATE
    # the page's commands work
    # shellcheck source=/dev/null
    (
        . "$DIR/env"
        keydctl status > /dev/null
        keydctl token-objects > /dev/null
        has "$(keydctl keys-list)" demo ec rsa
        keydctl keys-generate --tenant demo --name mine --type ec-p384 > /dev/null
    )
    OPENSSL_CONF=$DIR/openssl-control.cnf openssl req -new -key "$DIR/ec.ref.pem" -subj /CN=a.test |
        openssl req -verify -noout
}

# On loopback alone: nothing of it listens anywhere else.
case_loopback_only() {
    local port
    port=$(cat "$DIR/port")
    equal "127.0.0.1:$port" "$(ss -Hltn "sport = :$port" | awk '{ print $4 }' | sort -u)"
    # keyd has no internet socket at all
    local pid link
    for pid in $(cat "$DIR/keyd.pid") $(cat "/proc/$(cat "$DIR/keyd.pid")/task/"*/children); do
        for link in "/proc/$pid/fd/"*; do
            link=$(readlink "$link") || continue
            [[ $link == socket:* ]] || continue
            link=${link//[^0-9]/}
            ! grep -qw "$link" /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 ||
                fail "process $pid has an internet socket"
        done
    done
}

# Once more: the same keys, nothing in the way of anything.
case_again() {
    local before out
    before=$(cat "$DIR/ec.ref.pem" "$DIR/rsa.ref.pem")
    out=$(quickstart)
    note_pids
    equal "$before" "$(cat "$DIR/ec.ref.pem" "$DIR/rsa.ref.pem")"
    has "$out" "is there already" "TLSv1.3"
}

case_stop() {
    local keyd nginx
    keyd=$(cat "$DIR/keyd.pid") nginx=$(cat "$DIR/nginx.pid")
    quickstart --stop
    dead "$keyd" || fail "keyd goes on"
    dead "$nginx" || fail "nginx goes on"
    [ -e "$DIR/state/user.pin" ] || fail "the token is gone"
    quickstart --stop # twice is no error
}

case_clean() {
    quickstart > /dev/null
    note_pids
    quickstart --clean
    [ ! -e "$DIR" ] || fail "$DIR is still there: $(ls "$DIR")"
    quickstart --clean
    quickstart --stop
}

# A directory that somebody else made there is not trusted.
case_foreign_directory() {
    [ "$(id -u)" = 0 ] || skip "needs root: it makes a directory of another user"
    mkdir "$DIR"
    chown nobody "$DIR"
    refused any quickstart
    has "$said" "$DIR"
    rmdir "$DIR"
    ln -s /nonexistent "$DIR"
    refused any quickstart
    rm "$DIR"
}

case_wrong_option() { refused 2 quickstart --no-such; }

run_cases "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# haproxy: the frontend that is hardest on a client library: it loads keys, then forks, changes its
# root and its user, runs threads and may start none (RLIMIT_NPROC 0).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

PORT=$(free_port)
STATE=$T/state SOCKET=$T/run/frontend/keyd.sock CONTROL=$T/run/control/control.sock
group='' cage=''
if [ "$(id -u)" = 0 ]; then
    group="frontend-group = www-data"
    cage="user www-data
    group www-data
    chroot $T/empty"
fi
with_keyd "
[sockets]
run-dir = $T/run
$group"
begin make_ca
mkdir -p "$T/empty" "$T/certs"
for each in "ec ec-p256" "rsa rsa-2048"; do
    name=${each% *}
    begin make_key "acme/$name" "${each#* }"
    begin certify "acme/$name" "$name.keyd.test"
    cat "$T/$name.crt" "$T/$name.ref.pem" > "$T/certs/$name.pem"
done
provider_conf "$T/openssl-keyd.cnf" "$SOCKET"
cat > "$T/haproxy.conf" << END
global
    nbthread 2
    log $T/dev-log local0
    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    $cage
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend test
    bind 127.0.0.1:$PORT ssl crt $T/certs/
    http-request return status 200 content-type text/plain string "hello from haproxy"
END
start_haproxy() {
    # -db: stay in the foreground; -W: all the same a master, and a worker that is its fork
    (
        export OPENSSL_CONF=$T/openssl-keyd.cnf
        [ "$PRESET" != asan ] || export LD_PRELOAD=$ASAN_RUNTIME
        exec setsid haproxy -W -db -f "$T/haproxy.conf"
    ) > "$T/log/haproxy.log" 2>&1 < /dev/null &
    echo $! > "$T/haproxy.pid"
    started $!
    soon 15 listening "$PORT"
}
begin start_haproxy

case_handshakes() {
    local host
    for host in ec.keyd.test rsa.keyd.test; do
        handshake $host -tls1_3 || fail "$host 1.3: $(tail -n 8 <<< "$said")"
        handshake $host -tls1_2 || fail "$host 1.2: $(tail -n 8 <<< "$said")"
        equal "hello from haproxy" "$(get $host)"
    done
}

case_its_cage() {
    [ "$(id -u)" = 0 ] || skip "needs root: HAProxy can change its root and its user only as root"
    local worker
    worker=$(cat "/proc/$(cat "$T/haproxy.pid")/task/$(cat "$T/haproxy.pid")/children")
    equal "$T/empty" "$(readlink "/proc/${worker% }/root")"
    equal "$(id -u www-data)" "$(stat -c %u "/proc/${worker% }")"
    handshake ec.keyd.test -tls1_3
}

case_many_at_once() {
    local i pids=()
    for ((i = 0; i < 40; i++)); do
        get ec.keyd.test > /dev/null 2>> "$T/log/many.log" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || fail "$(cat "$T/log/many.log")"; done
}

# From inside its root it finds the socket of the new keyd.
case_keyd_restarts() {
    stop_keyd
    ! handshake ec.keyd.test -tls1_3 || fail "a handshake without keyd"
    start_keyd
    handshake ec.keyd.test -tls1_3 || fail "$(tail -n 8 <<< "$said")"
    handshake rsa.keyd.test -tls1_2
}

run_cases "$@"

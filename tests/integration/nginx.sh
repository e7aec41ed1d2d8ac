#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# nginx: a stock nginx with key references instead of key files, and what its clients see.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

PORT=$(free_port)
STATE=$T/state SOCKET=$T/run/frontend/keyd.sock CONTROL=$T/run/control/control.sock
group=
[ "$(id -u)" != 0 ] || group="frontend-group = www-data" # as whom a root's nginx has its workers
with_keyd "
[sockets]
run-dir = $T/run
$group"
begin make_ca
for each in "ec ec-p256" "rsa rsa-2048" "ed ed25519" "p384 ec-p384"; do
    begin make_key "acme/${each% *}" "${each#* }"
    begin certify "acme/${each% *}" "${each% *}.keyd.test"
    begin nginx_site "${each% *}" "${each% *}.keyd.test"
done
begin nginx_conf
begin start_nginx

HOSTS=(ec.keyd.test rsa.keyd.test ed.keyd.test p384.keyd.test)

case_key_files_are_references() {
    lacks "$(cat "$T"/*.ref.pem)" "PRIVATE KEY"
    has "$(cat "$T/sites.conf")" "ec.ref.pem"
}

case_tls13() {
    local host
    for host in "${HOSTS[@]}"; do
        handshake "$host" -tls1_3 || fail "$host: $(tail -n 12 <<< "$said")"
        has "$said" "TLSv1.3" "Verification: OK"
    done
}

case_tls12() {
    local host
    for host in "${HOSTS[@]}"; do
        handshake "$host" -tls1_2 || fail "$host: $(tail -n 12 <<< "$said")"
        has "$said" "TLSv1.2" "Verification: OK"
    done
}

case_cipher_suites() {
    handshake ec.keyd.test -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 # transcripts of 32 bytes
    handshake ec.keyd.test -tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384 # and of 48
    handshake rsa.keyd.test -tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384
    handshake rsa.keyd.test -tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305
    handshake ec.keyd.test -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256
}

case_groups() {
    local group
    for group in X25519 P-256 P-384 P-521 X448; do
        handshake rsa.keyd.test -tls1_2 -groups $group || fail "$group: $(tail -n 12 <<< "$said")"
        handshake ec.keyd.test -tls1_3 -groups $group || fail "$group: $(tail -n 12 <<< "$said")"
    done
}

case_signature_algorithms() {
    local alg
    for alg in rsa_pss_rsae_sha256 rsa_pss_rsae_sha384 rsa_pss_rsae_sha512; do
        handshake rsa.keyd.test -tls1_3 -sigalgs $alg || fail "$alg: $(tail -n 12 <<< "$said")"
        handshake rsa.keyd.test -tls1_2 -sigalgs $alg || fail "$alg: $(tail -n 12 <<< "$said")"
    done
    for alg in RSA+SHA256 RSA+SHA384 RSA+SHA512; do
        handshake rsa.keyd.test -tls1_2 -sigalgs $alg || fail "$alg: $(tail -n 12 <<< "$said")"
    done
    for alg in ECDSA+SHA256 ECDSA+SHA384 ECDSA+SHA512; do # TLS 1.2 ties no digest to a curve
        handshake ec.keyd.test -tls1_2 -sigalgs $alg || fail "$alg: $(tail -n 12 <<< "$said")"
        handshake p384.keyd.test -tls1_2 -sigalgs $alg || fail "$alg: $(tail -n 12 <<< "$said")"
    done
}

case_curl() {
    local host
    for host in "${HOSTS[@]}"; do
        has "$(get "$host" --tlsv1.3)" "hello from $host over TLSv1.3"
        has "$(get "$host" --tls-max 1.2)" "hello from $host over TLSv1.2"
    done
}

# There is no RSA key exchange: the token decrypts nothing.
case_no_rsa_key_exchange() {
    ! handshake rsa.keyd.test -tls1_2 -cipher kRSA || fail "an RSA key exchange went through"
    handshake rsa.keyd.test -tls1_2
}

case_many_at_once() {
    local i pids=()
    for ((i = 0; i < 40; i++)); do
        get "${HOSTS[i % 2]}" > /dev/null 2>> "$T/log/many.log" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || fail "$(cat "$T/log/many.log")"; done
}

case_reload() {
    nginx_run -s reload
    local i
    for ((i = 0; i < 10; i++)); do
        handshake ec.keyd.test -tls1_3
        handshake rsa.keyd.test -tls1_2
    done
}

# nginx checks and loads references with nobody there to ask.
case_config_check_without_keyd() {
    stop_keyd
    nginx_run -t
    start_keyd
}

# With the daemon down a handshake fails within the deadline, and works again when it is back; nginx
# itself is not touched.
case_keyd_down_and_back() {
    local began took workers
    handshake ec.keyd.test -tls1_3
    workers=$(cat "/proc/$(cat "$T/nginx.pid")/task/$(cat "$T/nginx.pid")/children")
    stop_keyd
    began=$(now_ms)
    ! handshake ec.keyd.test -tls1_3 || fail "a handshake without keyd"
    took=$(($(now_ms) - began))
    [ $took -lt $((4000 * SLOW)) ] || fail "it took $took ms to fail"
    has "$said" "alert internal error"
    has "$(tail -n 5 "$T/log/nginx.log")" keyd # whose log says why
    start_keyd
    handshake ec.keyd.test -tls1_3 || fail "the next handshake failed: $(tail -n 12 <<< "$said")"
    handshake rsa.keyd.test -tls1_2
    equal "$workers" "$(cat "/proc/$(cat "$T/nginx.pid")/task/$(cat "$T/nginx.pid")/children")"
}

# nginx may be there first.
case_nginx_before_keyd() {
    stop_nginx
    stop_keyd
    start_nginx
    ! handshake rsa.keyd.test -tls1_3 || fail "a handshake without keyd"
    start_keyd
    handshake rsa.keyd.test -tls1_3
}

# Restarts of keyd in the middle of a stream of requests: each request that gets its second try
# within the deadline is answered; after the restart all are.
case_restart_in_a_curl_loop() {
    local loop i
    (while [ ! -e "$T/loop.stop" ]; do
        if get ec.keyd.test > /dev/null 2>&1; then echo ok; else echo failed; fi
    done > "$T/loop.out") &
    loop=$!
    started $loop
    for i in 1 2; do
        soon 10 grows "$T/loop.out" "^ok" 5
        stop_keyd
        start_keyd
    done
    : > "$T/loop.out"
    soon 10 grows "$T/loop.out" "^ok" 10
    touch "$T/loop.stop"
    soon 10 dead $loop
    lacks "$(cat "$T/loop.out")" failed
}
# grows FILE PATTERN N: N more lines than when it was first asked.
grows() {
    local have
    have=$(grep -c "$2" "$1")
    [ "$have" -ge "$3" ]
}

# Resumed sessions need no signature.
case_resumption_signs_nothing() {
    local before port
    port=$(free_port) # the sessions of a port are its first server's
    cat >> "$T/sites.conf" << END
server {
    listen 127.0.0.1:$port ssl;
    server_name tickets.keyd.test;
    ssl_certificate $T/ec.crt;
    ssl_certificate_key $T/ec.ref.pem;
    ssl_session_tickets on;
    ssl_session_cache builtin;
    location / { return 200 "resumed\n"; }
}
END
    stop_nginx
    start_nginx
    openssl s_client -connect "127.0.0.1:$port" -servername tickets.keyd.test -tls1_2 \
        -sess_out "$T/session" < /dev/null > /dev/null 2>&1
    before=$(ctl status --json | jq .queue.signed_total)
    has "$(openssl s_client -connect "127.0.0.1:$port" -servername tickets.keyd.test -tls1_2 \
        -sess_in "$T/session" < /dev/null 2>&1)" "Reused, TLSv1.2"
    equal "$before" "$(ctl status --json | jq .queue.signed_total)"
}

# The counter of signatures moves with the handshakes, one each.
case_one_signature_per_handshake() {
    local before i
    before=$(ctl status --json | jq .queue.signed_total)
    for ((i = 0; i < 5; i++)); do handshake ec.keyd.test -tls1_3; done
    equal $((before + 5)) "$(ctl status --json | jq .queue.signed_total)"
}

# A certificate that does not belong to the key is refused at load, without any signature.
case_wrong_pair() {
    make_key acme/other ec-p256
    cp "$T/sites.conf" "$T/sites.saved"
    sed -i "s/ec.ref.pem/other.ref.pem/" "$T/sites.conf"
    refused any nginx_run -t
    cp "$T/sites.saved" "$T/sites.conf"
    nginx_run -t
}

run_cases "$@"

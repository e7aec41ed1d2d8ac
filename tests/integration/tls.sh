#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tls: the TLS listeners: whom they let in, whom they turn away and say so, what SIGHUP changes while
# connections live, and clients that stall.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
unset KEYD_TOKEN KEYD_TLS_CA KEYD_TLS_CERT KEYD_TLS_KEY

PORT=$(free_port) CPORT=$(free_port)
URI=spiffe://platform

# ---- certificates: ca issues all but stranger's and the second authority's

# authority NAME: $T/NAME.pem, $T/NAME.key
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
        -keyout "$T/$1.key" -out "$T/$1.pem" 2>> "$T/log/openssl.log"
}

# issue AUTHORITY NAME EXTENSIONS [DAYS]: $T/NAME.crt, $T/NAME.key; serials count up.
issue() {
    local serial
    serial=$(cat "$T/serial" 2> /dev/null || echo 100)
    echo $((serial + 1)) > "$T/serial"
    [ -e "$T/$2.key" ] || (umask 077 && openssl genpkey -algorithm EC \
        -pkeyopt ec_paramgen_curve:P-256 -out "$T/$2.key" 2>> "$T/log/openssl.log")
    openssl req -new -key "$T/$2.key" -subj "/CN=$2" -out "$T/$2.csr"
    openssl x509 -req -in "$T/$2.csr" -CA "$T/$1.pem" -CAkey "$T/$1.key" -days "${4:-30}" \
        -set_serial "$serial" -extfile <(printf '%b\n' "$3") -out "$T/$2.crt" 2>> "$T/log/openssl.log"
}

# client NAME URI [AUTHORITY]: a client's certificate with that URI.
client() { issue "${3:-authority}" "$1" "extendedKeyUsage=clientAuth\nsubjectAltName=URI:$2"; }

make_certificates() {
    authority authority
    authority other
    issue authority server "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost"
    client fe-1 $URI/frontend/fe-1
    client fe-2 $URI/frontend/fe-2
    client fe-3 $URI/frontend/fe-3
    client ops $URI/ops
    client nobody $URI/nobody
    client stranger $URI/frontend/fe-1 other
    issue authority two "extendedKeyUsage=clientAuth\nsubjectAltName=URI:$URI/frontend/fe-1,URI:$URI/ops"
    issue authority purpose "extendedKeyUsage=serverAuth\nsubjectAltName=URI:$URI/frontend/fe-1"
    faketime -f -40d openssl x509 -req -in "$T/fe-1.csr" -CA "$T/authority.pem" \
        -CAkey "$T/authority.key" -days 30 -out "$T/expired.crt" 2>> "$T/log/openssl.log"
    cp -p "$T/fe-1.key" "$T/expired.key"
    issue authority plain "extendedKeyUsage=clientAuth" # no URI: its key is its name
}

# spki NAME: SHA-256 over the certificate's public key, in hex.
spki() {
    openssl x509 -in "$T/$1.crt" -pubkey -noout | openssl pkey -pubin -outform DER |
        sha256sum | cut -d' ' -f1
}

# crl [NAME...]: $T/crl.pem, in which those are revoked.
crl() {
    local name
    : > "$T/index"
    for name; do
        printf 'R\t%s\t%s\t%s\tunknown\t/CN=%s\n' "$(date -u -d '+30 days' +%y%m%d%H%M%SZ)" \
            "$(date -u -d '-1 minute' +%y%m%d%H%M%SZ)" \
            "$(openssl x509 -in "$T/$name.crt" -serial -noout | cut -d= -f2)" "$name" >> "$T/index"
    done
    printf '[ca]\ndefault_ca = d\n[d]\ndatabase = %s/index\ndefault_md = sha256\n' "$T" > "$T/ca.cnf"
    openssl ca -gencrl -config "$T/ca.cnf" -keyfile "$T/authority.key" -cert "$T/authority.pem" \
        -crldays 7 -out "$T/crl.pem" 2>> "$T/log/openssl.log"
}

# tls_conf [MORE]: keyd.conf with both listeners; MORE stands in [tls].
tls_conf() {
    configure "signers = 1
[tls]
listen-signing = 127.0.0.1:$PORT
listen-control = 127.0.0.1:$CPORT
certificate = $T/server.crt
key = $T/server.key
ca = $T/ca-bundle.pem
crl = $T/crl.pem
deny = $T/deny
${1-}
[principals]
fe-* = frontend group=remote uri=$URI/frontend/fe-*
plain = operator spki=$(spki plain)
ops = operator uri=$URI/ops"
}

reload() {
    local before
    before=$(reloads)
    kill -HUP "$(cat "$T/keyd.pid")"
    soon 5 reloaded "$before"
}
reloads() { grep -c "settings read again\|settings stay" "$T/log/keyd.log" || true; }
reloaded() { [ "$(reloads)" -gt "$1" ]; }

prepare() {
    make_certificates
    crl
    : > "$T/deny"
    cp "$T/authority.pem" "$T/ca-bundle.pem"
    tls_conf
}
begin prepare
begin init_token
begin start_keyd
begin make_key acme/www ec-p256
begin ctl grants-add --group remote --tenant acme --purposes tls13-server,tls12-server

# by NAME ARG...: keydctl over TLS with that certificate.
by() {
    "$KEYDCTL" --socket "tls:127.0.0.1:$CPORT" --tls-ca "$T/authority.pem" --tls-cert "$T/$1.crt" \
        --tls-key "$T/$1.key" "${@:2}"
}

# sign_as NAME [ARG...]: one process that signs over TLS. signer NAME: how it is started.
signer() {
    SIGNER=("$LOAD" --socket "tls:127.0.0.1:$PORT" --key "$T/www.ref.pem" --tls-ca "$T/authority.pem"
        --tls-cert "$T/$1.crt" --tls-key "$T/$1.key" --deadline $((3000 * SLOW)))
}
sign_as() {
    signer "$1"
    "${SIGNER[@]}" "${@:2}"
}

more_than() { [ "$(counted "$1")" -gt "$2" ]; }

# turned_away REASON COMMAND...: it fails, and is counted and logged under that reason.
turned_away() {
    local before
    before=$(counted "$1")
    refused any "${@:2}"
    soon 5 more_than "$1" "$before"
    has "$(cat "$T/log/keyd.log")" "refused: $1"
}

# live NAME: begins to sign, without an end. live_ends: it was cut off.
live() {
    signer "$1"
    "${SIGNER[@]}" --seconds 60 > "$T/live.$1" 2> "$T/log/live.$1" &
    started $!
    echo $! > "$T/live.pid.$1"
    soon 10 grep -q running "$T/live.$1"
}
cut_off() { grep -q DENIED "$T/log/live.$1"; }
live_ends() {
    kill "$(cat "$T/live.pid.$1")"
    while alive "$(cat "$T/live.pid.$1")"; do sleep 0.05; done
}

case_frontend_signs() {
    has "$(sign_as fe-1 --seconds 1)" "failed=0"
    has "$(sign_as fe-2 --seconds 1 --threads 4 --batch 16)" "failed=0"
    # and by openssl, through the provider
    provider_conf "$T/remote.cnf" "tls:localhost:$PORT" "ca = $T/authority.pem
certificate = $T/fe-1.crt
key = $T/fe-1.key"
    ctl csr --key acme/www --subject CN=www.test --san www.test > "$T/www.csr"
    openssl x509 -req -in "$T/www.csr" -CA "$T/authority.pem" -CAkey "$T/authority.key" -days 2 \
        -copy_extensions copy -out "$T/www.crt" 2>> "$T/log/openssl.log"
    local port out
    port=$(free_port)
    OPENSSL_CONF=$T/remote.cnf foreign openssl s_server -accept "127.0.0.1:$port" -cert "$T/www.crt" \
        -key "$T/www.ref.pem" -naccept 2 -quiet > "$T/log/s_server.log" 2>&1 < /dev/null &
    local server=$!
    started $server
    soon 10 listening "$port"
    out=$(openssl s_client -connect "127.0.0.1:$port" -CAfile "$T/authority.pem" \
        -verify_hostname www.test -servername www.test < /dev/null 2>&1)
    has "$out" "Verify return code: 0 (ok)" "New, TLSv1.3"
    wait $server || fail "s_server ended with $?: $(tail -n 3 "$T/log/s_server.log")"
}

# nginx's master loads the provider as root, and its workers, which cannot read the key file, sign.
case_nginx() {
    local keyd_port=$PORT PORT i
    PORT=$(free_port)
    cp "$T/authority.pem" "$T/ca.pem"
    cp "$T/authority.key" "$T/ca.key"
    certify acme/www www.test
    provider_conf "$T/openssl-keyd.cnf" "tls:127.0.0.1:$keyd_port" "ca = $T/authority.pem
certificate = $T/fe-1.crt
key = $T/fe-1.key"
    nginx_site www www.test
    nginx_conf
    start_nginx
    for ((i = 0; i < 10; i++)); do has "$(get www.test)" "hello from www.test"; done
    kill -KILL "$(pid_of "signing gate")" # and again when the connection has died
    for ((i = 0; i < 10; i++)); do has "$(get www.test)" "hello from www.test"; done
    stop_nginx
    lacks "$(cat "$T/log/nginx.log")" "signal 11" "signal 6"
}

case_operator_over_tls() {
    has "$(by ops whoami)" "ops" "operator"
    has "$(by plain whoami)" "plain" "spki="
    has "$(by ops tenants-list)" acme
    has "$("$KEYDCTL" --socket "tls:localhost:$CPORT" --tls-ca "$T/authority.pem" \
        --tls-cert "$T/ops.crt" --tls-key "$T/ops.key" whoami)" ops
    refused 1 by fe-1 whoami # a frontend is not at home there
}

case_turned_away() {
    turned_away "client certificate expired" by expired whoami
    has "$said" "expired"
    turned_away "client certificate of an unknown CA" by stranger whoami
    has "$said" "authority"
    turned_away "client certificate made for another purpose" by purpose whoami
    turned_away "client certificate with two identities" by two whoami
    has "$said" "two identities"
    turned_away "nobody known" by nobody whoami
    turned_away "neither a client certificate nor a token" "$KEYDCTL" \
        --socket "tls:127.0.0.1:$CPORT" --tls-ca "$T/authority.pem" whoami
    turned_away "TLS older than 1.3" openssl s_client -tls1_2 -connect "127.0.0.1:$CPORT" \
        -cert "$T/ops.crt" -key "$T/ops.key"
    # whoever they were: one of ours still gets in
    has "$(by ops whoami)" ops
}

case_not_tls() {
    local before
    before=$(counted "not TLS")
    exec 4<> "/dev/tcp/127.0.0.1/$CPORT"
    printf 'GET / HTTP/1.0\r\n\r\n' >&4
    cat <&4 > /dev/null || true # until keyd ends it
    exec 4>&-
    exec 4<> "/dev/tcp/127.0.0.1/$CPORT"
    printf '\0\0\0\10hello, keyd' >&4
    cat <&4 > /dev/null || true
    exec 4>&-
    soon 5 more_than "not TLS" $((before + 1))
    has "$(cat "$T/log/keyd.log")" "refused: not TLS"
}

# A burst is one line.
case_once_per_burst() {
    local i before
    before=$(counted "client certificate expired")
    for i in 1 2 3 4 5 6; do refused any by expired whoami; done
    soon 5 more_than "client certificate expired" $((before + 5))
    equal 1 "$(grep -c 'refused: client certificate expired' "$T/log/keyd.log")"
}

# The client, too, talks to nobody but the keyd that it wants.
case_wrong_server() {
    refused 1 "$KEYDCTL" --socket "tls:127.0.0.1:$CPORT" --tls-ca "$T/other.pem" \
        --tls-cert "$T/ops.crt" --tls-key "$T/ops.key" whoami
    has "$said" "not to be believed"
    refused any "$KEYDCTL" --socket "tls:127.0.0.1:$CPORT" whoami
    has "$said" "whom to believe"
    refused any "$KEYDCTL" --socket "tls:127.0.0.1" whoami
    has "$said" "tls:192.0.2.7:7443"
    refused 3 "$KEYDCTL" --socket "tls:127.0.0.1:$(free_port)" --tls-ca "$T/other.pem" \
        --timeout 2 whoami
    has "$said" "cannot reach keyd"
    cp "$T/ops.key" "$T/open.key"
    chmod 0644 "$T/open.key"
    refused any "$KEYDCTL" --socket "tls:127.0.0.1:$CPORT" --tls-ca "$T/authority.pem" \
        --tls-cert "$T/ops.crt" --tls-key "$T/open.key" whoami
    has "$said" "others can read"
    refused any "$KEYDCTL" --socket "tls:127.0.0.1:$CPORT" --tls-ca "$T/authority.pem" \
        --tls-cert "$T/ops.crt" --tls-key "$T/fe-1.key" whoami
    has "$said" "not the key"
}

# A token stands in for a certificate; it is never an argument.
case_token() {
    local token
    token=$(ctl tokens-create --name watcher --role auditor --expires 1d --json | jq -r .secret)
    [ -n "$token" ] || fail "no token"
    local over=(--socket "tls:127.0.0.1:$CPORT" --tls-ca "$T/authority.pem")
    has "$(KEYD_TOKEN=$token "$KEYDCTL" "${over[@]}" whoami)" watcher auditor
    (umask 077 && printf '%s\n' "$token" > "$T/token")
    has "$("$KEYDCTL" "${over[@]}" --token-file "$T/token" whoami)" watcher
    has "$("$KEYDCTL" "${over[@]}" --token-file - whoami < "$T/token")" watcher
    chmod 0644 "$T/token"
    refused any "$KEYDCTL" "${over[@]}" --token-file "$T/token" whoami
    turned_away "API token not good" env KEYD_TOKEN="${token:0:40}AAAAAAAA" "$KEYDCTL" "${over[@]}" whoami
    refused any env KEYD_TOKEN=keyd_x "$KEYDCTL" "${over[@]}" whoami
    lacks "$(cat "$T"/log/*.log)" "$token"
}

# ---- SIGHUP, while connections live

case_deny_list() {
    local how
    for how in fe-2 "$URI/frontend/fe-2" "$(spki fe-2)"; do
        live fe-2
        printf '# stolen\n  %s  # in March\n' "$how" > "$T/deny"
        reload
        soon 1 cut_off fe-2
        live_ends fe-2
        turned_away "on the deny list" sign_as fe-2 --seconds 1
        has "$(sign_as fe-1 --seconds 1)" "failed=0"
        : > "$T/deny"
        reload
        : > "$T/log/live.fe-2"
    done
    has "$(sign_as fe-2 --seconds 1)" "failed=0"
}

case_revoked() {
    live fe-3
    live fe-1
    crl fe-3
    reload
    soon 1 cut_off fe-3
    live_ends fe-3
    turned_away "client certificate revoked" sign_as fe-3 --seconds 1
    has "$(cat "$T/log/live.fe-3")" "revoked"
    live_ends fe-1
    has "$(cat "$T/live.fe-1")" "failed=0" # the others did not notice
    crl
    reload
    has "$(sign_as fe-3 --seconds 1)" "failed=0"
}

case_another_authority() {
    live fe-1
    cat "$T/authority.pem" "$T/other.pem" > "$T/ca-bundle.pem"
    tls_conf
    sed -i '/^crl/d' "$CONF" # the other authority has no list
    reload
    has "$(sign_as stranger --seconds 1)" "failed=0"
    live stranger
    cp "$T/authority.pem" "$T/ca-bundle.pem"
    tls_conf
    reload
    soon 1 cut_off stranger
    live_ends stranger
    refused any sign_as stranger --seconds 1
    live_ends fe-1
    has "$(cat "$T/live.fe-1")" "failed=0"
}

# A certificate that ends while its connection lives.
case_expires() {
    local left=$((6 * SLOW))
    # valid for one day, of which but some seconds are left
    faketime -f "-$((86400 - left))s" openssl x509 -req -in "$T/fe-3.csr" -CA "$T/authority.pem" \
        -CAkey "$T/authority.key" -days 1 -set_serial 77 -out "$T/brief.crt" \
        -extfile <(printf 'subjectAltName=URI:%s/frontend/fe-3\n' $URI) 2>> "$T/log/openssl.log"
    cp -p "$T/fe-3.key" "$T/brief.key"
    live brief
    lacks "$(cat "$T/log/live.brief")" DENIED
    soon $((left + 3)) cut_off brief
    has "$(cat "$T/log/live.brief")" "has expired"
    live_ends brief
}

# The listener's own certificate.
case_new_certificate() {
    live fe-1
    issue authority server "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost"
    reload
    local serial
    serial=$(openssl x509 -in "$T/server.crt" -serial -noout)
    equal "$serial" "$(openssl s_client -connect "127.0.0.1:$PORT" < /dev/null 2> /dev/null |
        openssl x509 -serial -noout)"
    live_ends fe-1
    has "$(cat "$T/live.fe-1")" "failed=0"
}

# stays TEXT...: what SIGHUP meets is refused with these words, and everything stays as it was.
stays() {
    keyd_with --check-config > "$T/check.out" 2>&1 && fail "--check-config finds nothing"
    has "$(cat "$T/check.out")" "$@"
    reload
    has "$(tail -n 3 "$T/log/keyd.log")" "the settings stay as they were" "$@"
    has "$(sign_as fe-1 --seconds 1)" "failed=0"
}

case_bad_files() {
    cp -p "$T/server.key" "$T/good.key"
    cp "$T/server.crt" "$T/good.crt"
    chmod 0644 "$T/server.key"
    stays "[tls] key" "$T/server.key" "others can read"
    cp "$T/fe-1.key" "$T/server.key"
    chmod 0600 "$T/server.key"
    stays "$T/server.key" "is not the key of" "$T/server.crt"
    openssl pkey -in "$T/good.key" -aes256 -passout pass:x -out "$T/server.key"
    stays "$T/server.key" "no passphrase"
    cp -p "$T/good.key" "$T/server.key"
    echo nonsense > "$T/server.crt"
    stays "$T/server.crt" "no certificates in PEM"
    rm "$T/server.crt"
    stays "$T/server.crt" "cannot open"
    cp "$T/good.crt" "$T/server.crt"
    : > "$T/ca-bundle.pem"
    stays "$T/ca-bundle.pem" "no certificates"
    cp "$T/authority.pem" "$T/ca-bundle.pem"
    cp "$T/authority.pem" "$T/crl.pem"
    stays "$T/crl.pem" "no CRL"
    openssl ca -gencrl -config "$T/ca.cnf" -keyfile "$T/other.key" -cert "$T/other.pem" -crldays 7 \
        -out "$T/crl.pem" 2>> "$T/log/openssl.log"
    stays "$T/crl.pem" "none of the authorities"
    crl
    echo 'fe 12' > "$T/deny"
    stays "$T/deny line 1" "fe 12"
    : > "$T/deny"
    keyd_with --check-config
    reload
    lacks "$(tail -n 1 "$T/log/keyd.log")" "stay as they were"
}

case_bad_settings() {
    local line
    for line in "listen-signing = localhost:7443" "listen-signing = 127.0.0.1" \
        "listen-signing = ::1:7443" "listen-signing = :7443" "listen-signing = 127.0.0.1:99999"; do
        configure "[tls]
$line"
        refused any keyd_with --check-config
        has "$said" "is no address with a port"
    done
    configure "[tls]
listen-signing = 127.0.0.1:7443
certificate = $T/server.crt"
    refused any keyd_with --check-config
    has "$said" "[tls] key is missing"
    configure "[tls]
ca = $T/authority.pem"
    refused any keyd_with --check-config
    has "$said" "none is named"
    tls_conf
}

# ---- clients that stall

case_stalled() {
    local count=2000 before
    [ "$PRESET" != release ] || count=10000
    [ "$(ulimit -Hn)" -gt $((count + 100)) ] || count=$(($(ulimit -Hn) / 2))
    before=$(counted "too many without a hello: the oldest went")
    live fe-1
    mkfifo "$T/stall.in"
    "$BUILD/tests/integration/stall" 127.0.0.1 "$PORT" "$count" < "$T/stall.in" > "$T/stall.out" \
        2> "$T/log/stall.log" &
    started $!
    exec 5> "$T/stall.in"
    soon 30 grep -q stalled "$T/stall.out"
    # all of them are there, and keyd serves: who was connected, who is new, and the unix socket
    has "$(sign_as fe-2 --seconds 1)" "failed=0"
    has "$(by ops whoami)" ops
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1 > "$T/unix.out"
    has "$(cat "$T/unix.out")" "failed=0"
    live_ends fe-1
    has "$(cat "$T/live.fe-1")" "failed=0"
    soon 5 more_than "too many without a hello: the oldest went" $((before + count - 300))
    [ "$(grep -c 'refused: too many' "$T/log/keyd.log")" -le 3 ] || fail "a line for each"
    exec 5>&-
}

# Those that are not crowded out are ended by their silence (after 10 s).
case_silence() {
    local before
    before=$(counted "no hello in time")
    exec 4<> "/dev/tcp/127.0.0.1/$PORT"
    printf '\x16\x03\x01' >&4
    soon 15 more_than "no hello in time" "$before"
    exec 4>&-
}

# A gate that is replaced gets its listener and files again.
case_gate_dies() {
    local pid
    pid=$(pid_of "signing gate")
    kill -KILL "$pid"
    has "$(sign_as fe-1 --seconds 1 --repeat)" "failed=0"
}

run_cases "$@"

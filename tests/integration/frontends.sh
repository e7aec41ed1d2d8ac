#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# frontends: nginx, HAProxy, Apache httpd, stunnel and `openssl s_server`, each by the ready
# configuration that is installed (clients/provider/examples; s_server by clients/README.md), in
# which nothing is replaced but places, ports, users and what a server without root cannot do. All
# of them stand before one keyd. `www` has a key reference, `shop` an ordinary key file.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

SERVERS="nginx haproxy apache stunnel s_server"
EXAMPLES=$BUILD/clients/provider/examples
declare -A PORTS CLIENT_PORTS # where each serves; where each goes on to the backend by TLS
STATE=$T/state SOCKET=$T/run/frontend/keyd.sock CONTROL=$T/run/control/control.sock
GROUP=$(id -gn)
ROOTLESS='^(user|group|chroot|setuid|setgid)$' # words of configurations that only root can obey
[ "$(id -u)" != 0 ] || GROUP=www-data ROOTLESS='^$'

# ---- keys and certificates

with_keyd "
[sockets]
run-dir = $T/run
frontend-group = $GROUP"
begin make_ca
for each in "rsa rsa-2048" "ec ec-p256" "p384 ec-p384" "ed ed25519"; do
    begin make_key "acme/${each% *}" "${each#* }"
    begin certify "acme/${each% *}" www.example.com
done
begin make_key acme/client ec-p256 --purposes tls13-client,csr
begin certify acme/client fe-12.example.com
begin file_key shop shop.example.com
begin file_key backend backend.example.com
provider_conf "$T/openssl-keyd.cnf" "$SOCKET"

# ---- what stands behind them: plain HTTP, and a backend that asks for a client certificate

WEB=$(free_port) BACKEND=$(free_port)
mkdir -p "$T/html/internal" "$T/empty" "$T/web"
echo "hello" > "$T/html/index.html"
cat > "$T/web.conf" << END
$([ "$(id -u)" != 0 ] || echo "user www-data;")
daemon on;
pid $T/web.pid;
error_log $T/log/web.log info;
events {}
http {
    access_log off;
    client_body_temp_path $T/web/body; proxy_temp_path $T/web/proxy; fastcgi_temp_path $T/web/fastcgi;
    uwsgi_temp_path $T/web/uwsgi; scgi_temp_path $T/web/scgi;
    server { listen 127.0.0.1:$WEB; root $T/html; }
    server {
        listen 127.0.0.1:$BACKEND ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $T/backend.crt;
        ssl_certificate_key $T/backend.key;
        ssl_client_certificate $T/ca.pem;
        ssl_verify_client on;
        location / { return 200 "client \$ssl_client_s_dn by \$ssl_protocol\n"; }
    }
}
END
start_web() {
    nginx -p "$T" -e "$T/log/web.log" -c "$T/web.conf"
    soon 10 test -s "$T/web.pid"
    started "$(cat "$T/web.pid")"
}
begin start_web

# ---- the five servers: example_X prepares its configuration below $T/X, start_X, reload_X

# example FILE X SED...: the ready configuration for X as $T/X/FILE.
example() {
    local file=$1 server=$2
    shift 2
    sed -E -e "s,/etc/ssl/keyd/,$T/$server/,g; s,/var/www/html,$T/html,; s,keyd-frontend,$GROUP," \
        -e "s,127.0.0.1:80( |;|$),127.0.0.1:$WEB\1,; s,127.0.0.1:8443,127.0.0.1:$BACKEND," "$@" \
        "$EXAMPLES/$file" | awk -v rootless="$ROOTLESS" '$1 !~ rootless' > "$T/$server/$file"
    ! grep -nE '[^0-9]443|/etc/|/run/|/var/' <<< "$(grep -vE '^ *[#;]' "$T/$server/$file")" ||
        fail "$file: a place of the system is left"
}

# use_key X NAME: from the next reload on, NAME is the key of www.
use_key() {
    local dir=$T/$1
    cp "$T/$2.crt" "$dir/www.crt"
    cp "$T/$2.ref.pem" "$dir/www.ref.pem"
    [ "$1" != haproxy ] || cat "$T/$2.crt" "$T/$2.ref.pem" > "$dir/certs/www.pem"
}

# in_background X COMMAND...: a server that stays in the foreground.
in_background() {
    local server=$1
    shift
    (
        export OPENSSL_CONF=$T/openssl-keyd.cnf
        [ "$PRESET" != asan ] || export LD_PRELOAD=$ASAN_RUNTIME
        exec setsid "$@"
    ) >> "$T/log/$server.log" 2>&1 < /dev/null &
    echo $! > "$T/$server/pid"
    started $!
}

# as_service COMMAND...: a server that goes into the background by itself.
as_service() { OPENSSL_CONF=$T/openssl-keyd.cnf foreign "$@"; }

example_nginx() {
    local temp='' preload='' name
    for name in client_body proxy fastcgi uwsgi scgi; do temp+="${name}_temp_path $T/nginx/$name; "; done
    # a new binary gets the variables that are named, and no others
    [ "$PRESET" != asan ] || preload="env LD_PRELOAD; env ASAN_OPTIONS;"
    example nginx.conf nginx -e "s,^env OPENSSL_CONF;,&$preload," -e "s,listen 443,listen 127.0.0.1:${PORTS[nginx]},; s,^http \{,&$temp," \
        -e "s,/run/nginx.pid,$T/nginx/pid,; s,/var/log/nginx/,$T/log/nginx-,"
}
nginx_is() { as_service "$(command -v nginx)" -p "$T/nginx" -e "$T/log/nginx-error.log" -c "$T/nginx/nginx.conf" "$@"; }
start_nginx() { nginx_is; }
reload_nginx() { nginx_is -s reload; }

example_haproxy() {
    mkdir -p "$T/haproxy/certs"
    cat "$T/shop.crt" "$T/shop.key" > "$T/haproxy/certs/shop.pem"
    cat "$T/client.crt" "$T/client.ref.pem" > "$T/haproxy/client.pem"
    example haproxy.cfg haproxy -e "s,bind :443,bind 127.0.0.1:${PORTS[haproxy]}," \
        -e "s,/etc/haproxy/certs,$T/haproxy/certs,; s,/var/lib/haproxy,$T/empty,"
}
# -W as in Debian's unit; -db: the master stays in the foreground
start_haproxy() { in_background haproxy haproxy -W -db -f "$T/haproxy/haproxy.cfg"; }
reload_haproxy() { kill -s USR2 "$(cat "$T/haproxy/pid")"; }

# Debian's apache2.conf, in few lines, around the site.
MPM=event
example_apache() {
    example apache.conf apache -e "s,:443>,:${PORTS[apache]}>,"
    {
        for name in "mpm_$MPM" ssl socache_shmcb dir authz_core; do
            echo "LoadModule ${name}_module /usr/lib/apache2/modules/mod_$name.so"
        done
        [ "$(id -u)" != 0 ] || printf 'User www-data\nGroup www-data\n'
        printf '%s\n' "ServerRoot $T/apache" "ServerName localhost" "PidFile $T/apache/pid" \
            "DefaultRuntimeDir $T/apache" "ErrorLog $T/log/apache.log" "LogLevel info" \
            "Listen 127.0.0.1:${PORTS[apache]}" "Include $T/apache/apache.conf"
    } > "$T/apache/apache2.conf"
}
apache_is() { as_service apache2 -f "$T/apache/apache2.conf" "$@" 2>> "$T/log/apache-out.log"; }
start_apache() { apache_is -k start; }
reload_apache() { apache_is -k graceful; }

example_stunnel() {
    example stunnel.conf stunnel -e "s,accept = 443,accept = 127.0.0.1:${PORTS[stunnel]}," \
        -e "s,127.0.0.1:8080,127.0.0.1:${CLIENT_PORTS[stunnel]},; s,/run/stunnel4/keyd.pid,$T/stunnel/pid," \
        -e "s,^pid,output = $T/log/stunnel.log\n&,"
    : > "$T/log/stunnel.log"
    chmod 0666 "$T/log/stunnel.log"
}
start_stunnel() { as_service stunnel "$T/stunnel/stunnel.conf" 2>> "$T/log/stunnel-out.log"; }
reload_stunnel() { kill -s HUP "$(cat "$T/stunnel/pid")"; }

example_s_server() {
    block clients/README.md s_server | sed -e "s,-accept 443,-accept 127.0.0.1:${PORTS[s_server]}," \
        -e 's,^openssl,exec &,' > "$T/s_server/command"
}
start_s_server() {
    (cd "$T/s_server" && in_background s_server sh command)
}
reload_s_server() {
    end "$(cat "$T/s_server/pid")"
    start_s_server
}

# start_one X: with the RSA key for www.
start_one() {
    "start_$1"
    soon 15 test -s "$T/$1/pid"
    started "$(cat "$T/$1/pid")" # of those that go into the background by themselves
    soon 15 listening "${PORTS[$1]}"
}
for each in $SERVERS; do
    PORTS[$each]=$(free_port) CLIENT_PORTS[$each]=$(free_port)
    mkdir -p "$T/$each"
    [ "$each" != stunnel ] || [ "$(id -u)" != 0 ] || chown stunnel4 "$T/stunnel" # writes its pid as that user
    for file in shop.crt shop.key client.crt client.ref.pem; do cp "$T/$file" "$T/$each/"; done
    cp "$T/ca.pem" "$T/$each/ca.crt"
    begin "example_$each"
    use_key "$each" rsa
    begin start_one "$each"
done

# ---- what is asked of each of them

# shake X HOST ARG...: a handshake with server X, which must succeed.
shake() {
    local PORT=${PORTS[$1]}
    handshake "${@:2}" || fail "$*: $(tail -n 12 <<< "$said")"
    has "$said" "Verification: OK"
}
# no_shake X HOST ARG...: one that must not.
no_shake() {
    local PORT=${PORTS[$1]}
    ! handshake "${@:2}" || fail "$* went through"
}
# serves X NAME: www has that certificate.
serves() {
    local PORT=${PORTS[$1]}
    handshake www.example.com && [[ $said == *"$(cat "$T/$2.crt")"* ]]
}

# take_over X: reloads it, and waits until the processes of before have gone: they go on accepting
# for a moment.
take_over() {
    local pid old
    pid=$(cat "$T/$1/pid")
    old=$(cat "/proc/$pid/task/$pid/children")
    "reload_$1"
    for pid in $old; do soon 20 dead "$pid"; done
}

# What TLS can make of each type of key: version, scheme as s_client forces it, and as it tells it.
schemes() {
    case $1 in
        rsa)
            printf '%s\n' "1_3 rsa_pss_rsae_sha256 SHA256 RSA-PSS" "1_3 rsa_pss_rsae_sha384 SHA384 RSA-PSS" \
                "1_3 rsa_pss_rsae_sha512 SHA512 RSA-PSS" "1_2 rsa_pss_rsae_sha256 SHA256 RSA-PSS" \
                "1_2 rsa_pss_rsae_sha384 SHA384 RSA-PSS" "1_2 rsa_pss_rsae_sha512 SHA512 RSA-PSS" \
                "1_2 rsa_pkcs1_sha256 SHA256 RSA" "1_2 rsa_pkcs1_sha384 SHA384 RSA" \
                "1_2 rsa_pkcs1_sha512 SHA512 RSA"
            ;;
        ec)
            printf '%s\n' "1_3 ecdsa_secp256r1_sha256 SHA256 ECDSA" "1_2 ecdsa_secp256r1_sha256 SHA256 ECDSA" \
                "1_2 ecdsa_secp384r1_sha384 SHA384 ECDSA" "1_2 ecdsa_secp521r1_sha512 SHA512 ECDSA"
            ;;
        p384)
            printf '%s\n' "1_3 ecdsa_secp384r1_sha384 SHA384 ECDSA" "1_2 ecdsa_secp384r1_sha384 SHA384 ECDSA" \
                "1_2 ecdsa_secp256r1_sha256 SHA256 ECDSA" "1_2 ecdsa_secp521r1_sha512 SHA512 ECDSA"
            ;;
        ed) printf '%s\n' "1_3 ed25519 - ed25519" "1_2 ed25519 - ed25519" ;;
    esac
}

# every_key X: with each type of key, taken over by a reload: the right certificate, every scheme.
every_key() {
    local name version scheme digest type
    for name in ec p384 ed rsa; do
        use_key "$1" "$name"
        take_over "$1"
        soon 15 serves "$1" "$name"
        while read -r version scheme digest type; do
            shake "$1" www.example.com "-tls$version" -sigalgs "$scheme"
            has "$said" "TLSv${version/_/.}" "Peer signature type: $type"$'\n' "$(cat "$T/$name.crt")"
            [ "$digest" = - ] || has "$said" "Peer signing digest: $digest"
        done < <(schemes "$name")
    done
}

# left_out X: no RSA key exchange, no finite-field DHE: the server itself says no, keyd isn't asked.
left_out() {
    local cipher before
    before=$(asked)
    for cipher in kRSA DHE-RSA-AES128-GCM-SHA256 DHE-RSA-AES256-SHA256 AES128-SHA; do
        no_shake "$1" www.example.com -tls1_2 -cipher "$cipher"
        has "$said" "alert handshake failure"
    done
    equal "$before" "$(asked)" "requests to keyd"
    shake "$1" www.example.com -tls1_2
}
asked() { ctl status --json | jq '[.queue.signed_total, .queue.refused_total // 0] | add'; }

# side_by_side X: a reference and a key file in one server, by name; only the first asks keyd.
side_by_side() {
    local before i
    before=$(ctl status --json | jq .queue.signed_total)
    for i in 1 2 3; do
        shake "$1" shop.example.com -tls1_3
        has "$said" "$(cat "$T/shop.crt")"
        shake "$1" www.example.com -tls1_2
        lacks "$said" "$(cat "$T/shop.crt")"
    done
    equal $((before + 3)) "$(ctl status --json | jq .queue.signed_total)"
}

# no_gap X: handshakes go on while it reloads three times.
no_gap() {
    local i loop PORT=${PORTS[$1]}
    rm -f "$T/gap."*
    (
        trap - ERR
        set +eE
        while [ ! -e "$T/gap.stop" ]; do
            if handshake www.example.com -tls1_3; then echo ok; else printf '%s\n' failed "$said"; fi
        done > "$T/gap.out"
    ) &
    loop=$!
    started $loop
    for i in 1 2 3; do
        soon 10 more_than $((i * 5)) "$T/gap.out"
        "reload_$1"
    done
    soon 20 more_than $(($(grep -c '^ok' "$T/gap.out") + 10)) "$T/gap.out"
    touch "$T/gap.stop"
    soon 15 dead $loop
    lacks "$(cat "$T/gap.out")" failed
}
more_than() { [ "$(grep -c '^ok' "$2")" -gt "$1" ]; }

# unprivileged X: some process of X answers as somebody who is not root.
unprivileged() {
    [ "$(id -u)" = 0 ] || skip "needs root: only root can become another user"
    local pid uid n=0
    pid=$(cat "$T/$1/pid")
    # shellcheck disable=SC2013
    for pid in $(cat "/proc/$pid/task/$pid/children") $([ "$1" != stunnel ] || echo "$pid"); do
        uid=$(stat -c %u "/proc/$pid")
        [ "$uid" != 0 ] || fail "$1: process $pid is root"
        n=$((n + 1))
    done
    [ $n -gt 0 ] || fail "$1 has no workers"
    shake "$1" www.example.com -tls1_3
}

case_nginx_every_key() { every_key nginx; }
case_haproxy_every_key() { every_key haproxy; }
case_apache_every_key() { every_key apache; }
case_stunnel_every_key() { every_key stunnel; }
case_s_server_every_key() { every_key s_server; }

case_no_rsa_key_exchange_no_dhe() {
    local server
    for server in $SERVERS; do left_out "$server"; done
}

# What the -cipher of the command is for: without it both are offered, and keyd is what says no.
case_without_ciphers_keyd_refuses() {
    local before
    end "$(cat "$T/s_server/pid")"
    cp "$T/s_server/command" "$T/s_server/command.saved"
    sed -i 's/-cipher [^ ]*//' "$T/s_server/command"
    start_one s_server
    before=$(asked)
    no_shake s_server www.example.com -tls1_2 -cipher DHE
    has "$said" "alert internal error"
    equal $((before + 1)) "$(asked)" "requests to keyd"
    no_shake s_server www.example.com -tls1_2 -cipher kRSA
    has "$said" "alert decrypt error"
    equal $((before + 1)) "$(asked)" "requests to keyd"
    # what keyd-provider(7) says of the two in a log
    has "$(cat "$T/log/s_server.log")" "keyd signs ECDHE alone" \
        "operation not supported for this keytype" "decryption failed"
    mv "$T/s_server/command.saved" "$T/s_server/command"
    reload_s_server
    soon 10 serves s_server rsa
}

case_reference_beside_key_file() {
    local server
    for server in $SERVERS; do side_by_side "$server"; done
}

case_nginx_reloads_under_load() { no_gap nginx; }
case_haproxy_reloads_under_load() { no_gap haproxy; }
case_apache_reloads_under_load() { no_gap apache; }

# The new binary has the provider by `env OPENSSL_CONF;` alone.
case_nginx_binary_upgrade() {
    local old new
    old=$(cat "$T/nginx/pid")
    kill -s USR2 "$old"
    soon 15 test -s "$T/nginx/pid.oldbin"
    soon 15 another_pid "$old"
    new=$(cat "$T/nginx/pid")
    started "$new"
    kill -s QUIT "$old"
    soon 15 dead "$old"
    alive "$new" || fail "the new nginx has ended: $(tail -n 3 "$T/log/nginx-error.log")"
    shake nginx www.example.com -tls1_3
    take_over nginx
    shake nginx www.example.com -tls1_2
}
another_pid() { [ -s "$T/nginx/pid" ] && [ "$(cat "$T/nginx/pid")" != "$1" ]; }

# stunnel closes its listening sockets for a moment when it reloads: new connections may have to try
# again, those that are open go on.
case_stunnel_reload_leaves_connections() {
    rm -f "$T/go"
    (
        trap - ERR
        set +eE
        until [ -e "$T/go" ]; do sleep 0.05; done
        printf 'GET / HTTP/1.0\r\nHost: www.example.com\r\n\r\n'
    ) | openssl s_client -connect "127.0.0.1:${PORTS[stunnel]}" -servername www.example.com -ign_eof \
        > "$T/open.out" 2>&1 &
    soon 10 grep -q 'New, TLSv1.3' "$T/open.out"
    use_key stunnel ec
    reload_stunnel
    soon 10 serves stunnel ec
    touch "$T/go"
    soon 10 grep -qx hello "$T/open.out"
    use_key stunnel rsa
    reload_stunnel
    soon 10 serves stunnel rsa
}

# In a root of its own, stunnel finds the socket by the folder that it has opened before.
case_stunnel_in_a_chroot() {
    [ "$(id -u)" = 0 ] || skip "needs root: only root can change its root"
    end "$(cat "$T/stunnel/pid")"
    cp "$T/stunnel/stunnel.conf" "$T/stunnel.saved"
    sed -i "s,^pid = .*,pid = /pid\nchroot = $T/stunnel,; s,^output = .*,output = /log," "$T/stunnel/stunnel.conf"
    start_one stunnel
    equal "$T/stunnel" "$(readlink "/proc/$(cat "$T/stunnel/pid")/root")"
    shake stunnel www.example.com -tls1_3
    stop_keyd
    start_keyd
    shake stunnel www.example.com -tls1_2
    end "$(cat "$T/stunnel/pid")"
    cp "$T/stunnel.saved" "$T/stunnel/stunnel.conf"
    start_one stunnel
}

case_workers_are_not_root() {
    local server
    for server in nginx haproxy apache stunnel; do unprivileged "$server"; done
}

# The other ways in which Apache has its children.
case_apache_mpms() {
    local mpm i pids
    for mpm in prefork worker event; do
        end "$(cat "$T/apache/pid")"
        MPM=$mpm
        example_apache
        start_one apache
        pids=()
        for ((i = 0; i < 10; i++)); do
            (PORT=${PORTS[apache]} handshake www.example.com -tls1_3) &
            pids+=($!)
        done
        for i in "${pids[@]}"; do wait "$i" || fail "$mpm: one of ten at once failed"; done
        shake apache www.example.com -tls1_2
    done
}

# In a root of its own Apache, too, finds the socket by the folder that it has opened before.
case_apache_in_a_chroot() {
    [ "$(id -u)" = 0 ] || skip "needs root: only root can change its root"
    local child
    end "$(cat "$T/apache/pid")"
    mkdir -p "$T/apache/root"
    # LoadFile: its threads need that library to end, and find none there
    printf '%s\n' "ChrootDir $T/apache/root" "LoadFile libgcc_s.so.1" >> "$T/apache/apache2.conf"
    start_one apache
    shake apache www.example.com -tls1_2
    child=$(cat "/proc/$(cat "$T/apache/pid")/task/$(cat "$T/apache/pid")/children")
    equal "$T/apache/root" "$(readlink "/proc/${child%% *}/root")"
    shake apache www.example.com -tls1_3
    end "$(cat "$T/apache/pid")"
    example_apache
    start_one apache
}

# Every server serves without and with keyd, and says for itself when it is back.
case_keyd_restarts_under_all() {
    local server
    stop_keyd
    for server in $SERVERS; do
        no_shake "$server" www.example.com -tls1_3
        has "$said" "alert internal error"
        shake "$server" shop.example.com -tls1_3 # its key is a file
    done
    start_keyd
    for server in $SERVERS; do
        shake "$server" www.example.com -tls1_3
        shake "$server" www.example.com -tls1_2
    done
}

# ---- as clients of a backend that asks for a certificate: the key of `client` is for that alone

# internal X: the backend's page, asked for through X.
internal() {
    case $1 in
        nginx | haproxy) PORT=${PORTS[$1]} get_path /internal/ ;;
        stunnel) curl -sS --max-time $((10 * SLOW)) "http://127.0.0.1:${CLIENT_PORTS[stunnel]}/" ;;
    esac
}
get_path() {
    curl -sS --max-time $((10 * SLOW)) --cacert "$T/ca.pem" \
        --resolve "www.example.com:$PORT:127.0.0.1" "https://www.example.com:$PORT$1"
}
CLIENT="client CN=fe-12.example.com by TLSv1.3"

# as_client X FILE FROM TO: the backend's page; none when FROM is TO in FILE; and again.
as_client() {
    local conf=$T/$1/$2
    equal "$CLIENT" "$(internal "$1")"
    cp "$conf" "$T/as-client.saved"
    sed -i "/$5/s,$3,$4," "$conf"
    ! cmp -s "$conf" "$T/as-client.saved" || fail "nothing was replaced"
    take_over "$1"
    soon 10 no_internal "$1"
    cp "$T/as-client.saved" "$conf"
    take_over "$1"
    soon 10 internal_is "$1" "$CLIENT"
}
no_internal() { [[ $(internal "$1" 2>&1) != "$CLIENT" ]]; }
internal_is() { [ "$(internal "$1")" = "$2" ]; }

case_nginx_as_client() {
    as_client nginx nginx.conf TLSv1.3 TLSv1.2 proxy_ssl_protocols
    has "$(cat "$T/log/nginx-error.log")" "message of no shape this key may sign" "TLS 1.2 client"
}
case_haproxy_as_client() {
    as_client haproxy haproxy.cfg 'ssl-min-ver TLSv1.3' 'ssl-max-ver TLSv1.2' 'server in1'
}
case_stunnel_as_client() {
    as_client stunnel stunnel.conf 'Min = TLSv1.3' 'Max = TLSv1.2' '^sslVersionMin'
}

# Apache's proxy reads client certificates by another door of OpenSSL's, which knows no provider: it
# warns, and goes without.
case_apache_is_no_client() {
    local dir=$T/apache-client name
    mkdir -p "$dir"
    cat "$T/client.crt" "$T/client.ref.pem" > "$dir/client.pem"
    sed "s,^PidFile .*,PidFile $dir/pid,; s,^Listen .*,Listen 127.0.0.1:$(free_port),; s,^ErrorLog .*,ErrorLog $T/log/apache-client.log," \
        "$T/apache/apache2.conf" > "$dir/apache2.conf"
    {
        for name in proxy proxy_http; do
            echo "LoadModule ${name}_module /usr/lib/apache2/modules/mod_$name.so"
        done
        printf '%s\n' "SSLProxyEngine on" "SSLProxyMachineCertificateFile $dir/client.pem"
    } >> "$dir/apache2.conf"
    as_service apache2 -f "$dir/apache2.conf" -k start 2>> "$T/log/apache-client.log"
    soon 10 test -s "$dir/pid"
    started "$(cat "$dir/pid")"
    has "$(cat "$T/log/apache-client.log")" "no client certs found for SSL proxy"
}

# present KEY ARG...: openssl s_client with that client certificate gets the backend's page, or not.
present() {
    said=$(printf 'GET / HTTP/1.0\r\n\r\n' | OPENSSL_CONF=$T/openssl-keyd.cnf foreign timeout $((10 * SLOW)) \
        openssl s_client -connect "127.0.0.1:$BACKEND" -servername backend.example.com -CAfile "$T/ca.pem" \
        -verify_return_error -cert "$T/$1.crt" -key "$T/$1.ref.pem" -ign_eof "${@:2}" 2>&1)
    [[ $said == *"client CN="*" by TLS"* ]]
}

case_client_certificates() {
    present client -tls1_3 || fail "$said"
    has "$said" "$CLIENT"
    ! present client -tls1_2 || fail "a client certificate in TLS 1.2"
    has "$said" "keyd refused: message of no shape this key may sign" "no TLS 1.2 client authentication"
}

# Both ends with references: s_server asks for a certificate, s_client has one.
case_s_server_and_s_client() {
    local BACKEND
    BACKEND=$(free_port)
    mkdir -p "$T/verify"
    in_background verify openssl s_server -accept "127.0.0.1:$BACKEND" -cert "$T/ec.crt" -key "$T/ec.ref.pem" \
        -cipher ECDHE+AESGCM:ECDHE+CHACHA20 -CAfile "$T/ca.pem" -Verify 1 -verify_return_error -www
    soon 10 listening "$BACKEND"
    present client -tls1_3 || true # s_server's page is another one
    has "$said" "HTTP/1.0 200 ok" "Client certificate" "Subject: CN=fe-12.example.com"
    present client -tls1_2 || true
    lacks "$said" "HTTP/1.0 200 ok"
    has "$said" "keyd refused: message of no shape this key may sign"
    present ec -tls1_3 || true
    lacks "$said" "HTTP/1.0 200 ok"
    has "$said" "of shape tls13-client, the key may sign tls13-server"
}

# A server's key authenticates no client, and a client's no server.
case_client_and_server_keys_are_apart() {
    local name
    for name in rsa ec p384 ed; do
        ! present "$name" -tls1_3 || fail "$name served as a client's"
        has "$said" "of shape tls13-client, the key may sign tls13-server"
    done
    use_key nginx client
    take_over nginx
    no_shake nginx www.example.com -tls1_3
    has "$(tail -n 5 "$T/log/nginx-error.log")" "of shape tls13-server, the key may sign tls13-client"
    use_key nginx rsa
    take_over nginx
    shake nginx www.example.com -tls1_3
}

case_client_keys_of_every_type() {
    local type
    for type in rsa-2048 ec-p384 ed25519; do
        make_key "acme/client-$type" "$type" --purposes tls13-client,csr
        certify "acme/client-$type" fe-13.example.com
        present "client-$type" -tls1_3 || fail "$type: $said"
    done
}

case_pages() {
    local server
    for server in nginx haproxy apache stunnel; do
        equal hello "$(PORT=${PORTS[$server]} get www.example.com)" "$server"
    done
    has "$(PORT=${PORTS[s_server]} get www.example.com)" "s_server -accept"
}

run_cases "$@"

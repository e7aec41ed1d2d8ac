# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh: what every file of integration tests stands on. A test file sources it, starts what it
# needs, defines functions case_NAME and ends with `run_cases "$@"`, which runs them in the order of
# the file, each in a subshell under `set -e`: the first command that fails is the reason. A line
# goes to stdout for each: "ok FILE/NAME", "not ok FILE/NAME REASON", "skip FILE/NAME REASON".
#
# Everything lives below $T, made by mktemp, gone at the end; the logs of a file with a failure are
# kept in $KEYD_TEST_LOGS/FILE. Nothing is waited for by sleeping alone, and nothing is killed but by
# a pid that this file started.

set -uo pipefail
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin # nginx and haproxy, which an ordinary user does not find
unset OPENSSL_CONF KEYD_CONTROL_SOCKET SOFTHSM2_CONF

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PRESET=${KEYD_TEST_PRESET:-release}
BUILD=${KEYD_TEST_BUILD:-$ROOT/build/$PRESET}
KEYD_TEST_LOGS=${KEYD_TEST_LOGS:-$ROOT/build/logs/integration-$PRESET}
FILE=$(basename "$0" .sh)

KEYD=$BUILD/keyd/keyd
KEYDCTL=$BUILD/clients/keydctl/keydctl
PROVIDER=$BUILD/clients/provider/keyd.so
# shellcheck disable=SC2034
LOAD=$BUILD/tests/integration/load WIRE=$BUILD/tests/integration/wire

for program in "$KEYD" "$KEYDCTL" "$PROVIDER"; do
    [ -e "$program" ] || {
        printf 'not ok %s/start %s is not built: scripts/build %s\n' "$FILE" "$program" "$PRESET"
        exit 1
    }
done

# A socket's path holds 107 bytes: a long TMPDIR leaves no room for it.
tmp=${TMPDIR:-/tmp}
[ ${#tmp} -le 40 ] || tmp=/tmp
said= # what `refused` and `handshake` heard
T=$(mktemp -d "$tmp/keyd-test.XXXXXX")
chmod 0755 "$T" # nginx's workers have another uid when root runs this
STATE=$T/state
CONF=$T/keyd.conf
SOCKET=$STATE/run/frontend/keyd.sock
CONTROL=$STATE/run/control/control.sock
mkdir "$T/log"

# ---- sanitizers: keyd, keydctl and load have the runtime in them; programs of others that load our
# provider get it by LD_PRELOAD, without leak search.
SLOW=1 # how many times longer than usual things may take
ROUNDS_OF=1
if [ "$PRESET" = asan ]; then
    SLOW=4
    # shellcheck disable=SC2034
    ROUNDS_OF=10 # kill loops run a tenth of their rounds
    # No symbolizer: it would start a program and read files, which the sandbox forbids.
    export ASAN_OPTIONS=detect_leaks=0:symbolize=0 UBSAN_OPTIONS=print_stacktrace=1
    ASAN_RUNTIME=$(readlink -f "$(gcc -print-file-name=libasan.so)")
fi

# foreign COMMAND...: runs a program of others that will load our provider. With IN_PLACE=1 it takes
# the place of this shell: in the background $! is then the program's own pid.
foreign() {
    if [ "$PRESET" = asan ]; then
        LD_PRELOAD=$ASAN_RUNTIME ${IN_PLACE:+exec} "$@"
    else
        ${IN_PLACE:+exec} "$@"
    fi
}

# ---- words for test files

# fail REASON: ends the case.
fail() {
    printf '%s\n' "$*" > "$T/reason"
    exit 1
}

# skip REASON: ends the case; only for want of root.
skip() {
    printf '%s\n' "$*" > "$T/reason"
    exit 77
}

# equal WANTED GOT [WHAT]
equal() { [ "$1" = "$2" ] || fail "${3:-values differ}: wanted '$1', got '$2'"; }

# has TEXT PIECE...: TEXT holds each PIECE.
has() {
    local text=$1 piece
    shift
    for piece; do
        [[ $text == *"$piece"* ]] || fail "no '$piece' in: ${text:0:600}"
    done
}

# lacks TEXT PIECE...
lacks() {
    local text=$1 piece
    shift
    for piece; do
        [[ $text != *"$piece"* ]] || fail "'$piece' stands in: ${text:0:600}"
    done
}

# refused STATUS COMMAND...: the command fails with that exit status ("any": any but 0, and none by
# a signal). What it said on both outputs is left in $said.
refused() {
    local want=$1 got=0
    shift
    said=$("$@" 2>&1) || got=$?
    [ "$got" != 0 ] || fail "should have been refused: $* (it said: ${said:0:300})"
    [ "$got" -lt 124 ] || fail "ended with status $got: $* (it said: ${said:0:300})"
    [ "$want" = any ] || [ "$want" = "$got" ] ||
        fail "wanted exit status $want, got $got: $* (it said: ${said:0:300})"
}

# soon SECONDS COMMAND...: tries until it succeeds.
soon() {
    local end=$((${EPOCHREALTIME/./} + $1 * SLOW * 1000000)) limit=$1
    shift
    until "$@" > "$T/soon.out" 2>&1; do
        if [ "${EPOCHREALTIME/./}" -gt "$end" ]; then
            fail "not within $((limit * SLOW)) s: $* (last said: $(tail -c 300 "$T/soon.out"))"
        fi
        sleep 0.05
    done
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# alive PID: it runs, and is no zombie.
alive() {
    local stat
    stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
    stat=${stat##*) }
    [ "${stat:0:1}" != Z ]
}
dead() { ! alive "$1"; }

# started PID: will be ended with the file.
started() { printf '%s\n' "$1" >> "$T/pids"; }

# end PID [SIGNAL]: asks it to end (TERM), and waits; kills after 15 s.
end() {
    local i
    kill -s "${2:-TERM}" "$1" 2> /dev/null || return 0
    for ((i = 0; i < 300 * SLOW; i++)); do
        alive "$1" || return 0
        sleep 0.05
    done
    kill -s KILL "$1" 2> /dev/null
    return 1
}

# free_port: a loopback port that nobody uses, below the kernel's own range; no two test files get
# the same one.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        mkdir "${tmp}/keyd-test-port-$UID-$port" 2> /dev/null || continue
        printf '%s\n' "${tmp}/keyd-test-port-$UID-$port" >> "$T/ports"
        (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && continue
        echo "$port"
        return
    done
}

# ---- keyd

# principals: the rules of every test: whoever the servers run as is the frontend "fe". Whoever runs
# the tests is an operator, as keyd's own user.
principals() {
    local user
    echo '[principals]'
    for user in "$(id -un)" root nobody www-data haproxy stunnel4; do
        ! getent passwd "$user" > /dev/null || echo "fe = frontend group=edge user=$user"
    done
}

# configure [TEXT]: writes keyd.conf for the state below $T; TEXT is appended.
configure() {
    {
        principals
        printf '[keyd]\nstate-dir = %s\n%s\n' "$STATE" "${1-}"
    } > "$CONF"
}

# keyd_with ARG...: keyd with that configuration, its stderr on ours.
keyd_with() { "$KEYD" "$@" --config "$CONF"; }

# ctl ARG...: keydctl, as a person types it.
ctl() { "$KEYDCTL" --socket "$CONTROL" "$@"; }

# counted REASON: how often keyd says that it refused for it.
counted() {
    ctl status --json | jq --arg r "$1" '[.refusals[] | select(.reason == $r) | .count] | add // 0'
}

init_token() { keyd_with --init-token > "$T/log/init-token.log" 2>&1; }

# launch: starts keyd in the background; its pid is in $KEYD_PID and $T/keyd.pid.
launch() {
    setsid "$KEYD" --foreground --config "$CONF" >> "$T/log/keyd.log" 2>&1 < /dev/null &
    KEYD_PID=$!
    disown # a word about each kill says nothing
    echo "$KEYD_PID" > "$T/keyd.pid"
    started "$KEYD_PID"
}

# ready: every process of keyd says so.
ready() {
    ctl status --json 2>&1 | jq -e '.processes | length > 3 and all(.state == "ready")' > /dev/null
}

# start_keyd: launches it and waits until it is ready.
start_keyd() {
    launch
    soon 20 ready_or_dead
    alive "$KEYD_PID" || fail "keyd ended: $(tail -n 3 "$T/log/keyd.log")"
}
ready_or_dead() { dead "$KEYD_PID" || ready; }

stop_keyd() {
    end "$(cat "$T/keyd.pid")" || fail "keyd did not end within 15 s of SIGTERM"
}

# with_keyd [TEXT]: the usual beginning of a file: a token and a running keyd.
with_keyd() {
    begin configure "${1-}"
    begin init_token
    begin start_keyd
}

# begin COMMAND...: a step of a file's beginning, which is no case; if it fails, so does the file.
begin() {
    CURRENT="start ($1)"
    rm -f "$T/reason"
    (run_function "$@") >> "$T/log/cases.log" 2>&1 &
    if ! wait $!; then
        printf 'not ok %s/start %s: %s\n' "$FILE" "$1" "$(reason) ($(tail -qn 2 "$T/log/"*.log |
            tr '\n' ' '))"
        FAILED=1
        exit 1
    fi
    KEYD_PID=$(cat "$T/keyd.pid" 2> /dev/null)
}

# pid_of NAME: pid of one of keyd's processes, as status tells it ("signer 1"); nothing while it is
# not ready.
pid_of() {
    ctl status --json 2> /dev/null | jq -r --arg n "$1" \
        '.processes[] | select(.name == $n and .state == "ready" and .pid > 0) | .pid'
}

# pids_of NAME: of all whose name begins so.
pids_of() {
    ctl status --json 2> /dev/null | jq -r --arg n "$1" \
        '.processes[] | select((.name | startswith($n)) and .pid > 0) | .pid'
}

# new_tenant TENANT: makes it; the frontends of the tests may use all of its keys.
new_tenant() {
    ctl tenants-add "$1" > /dev/null
    ctl grants-add --principal fe --tenant "$1" --purposes tls13-server,tls13-client,tls12-server \
        > /dev/null
}

# make_key TENANT/NAME TYPE [OPTION...]: makes tenant and key, writes $T/NAME.ref.pem. The one place
# where tests come by keys that frontends use.
make_key() {
    local tenant=${1%/*} name=${1#*/}
    ctl tenants-list --json | jq -e --arg t "$tenant" 'any(.tenants[]; .tenant == $t)' > /dev/null ||
        new_tenant "$tenant"
    ctl keys-generate --tenant "$tenant" --name "$name" --type "$2" "${@:3}" > /dev/null
    ctl keys-ref "$1" > "$T/$name.ref.pem"
}

# key_id TENANT/NAME: in hex.
key_id() { ctl keys-show "$1" --json | jq -r .id; }

# ---- OpenSSL with our provider

# provider_conf FILE SOCKET [MORE]: an openssl.cnf that loads it.
provider_conf() {
    cat > "$1" << END
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
default = default_provider
keyd = keyd_provider
[default_provider]
activate = 1
[keyd_provider]
module = $PROVIDER
activate = 1
socket = $2
${3-}
[req]
distinguished_name = req_dn
[req_dn]
END
}

# ossl SOCKET ARG...: the openssl command with keys behind SOCKET.
ossl() {
    local conf
    conf=$T/openssl-$(basename "$1" .sock).cnf
    [ -e "$conf" ] || provider_conf "$conf" "$1"
    shift
    OPENSSL_CONF=$conf foreign openssl "$@"
}

# make_ca: a throw-away authority: $T/ca.pem, $T/ca.key.
make_ca() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=keyd test CA" -keyout "$T/ca.key" -out "$T/ca.pem" 2> "$T/log/ca.log"
}

# certify TENANT/NAME HOST: a CSR from keyd, signed by the CA: $T/NAME.crt.
certify() {
    local name=${1#*/}
    ctl csr --key "$1" --subject "CN=$2" --san "$2" > "$T/$name.csr"
    openssl x509 -req -in "$T/$name.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -days 2 \
        -copy_extensions copy -out "$T/$name.crt" 2> "$T/log/certify.log"
}

# file_key NAME HOST: an ordinary key in a file and its certificate: $T/NAME.key, $T/NAME.crt.
file_key() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/$1.key" \
        -subj "/CN=$2" -addext "subjectAltName=DNS:$2" -out "$T/$1.csr" 2> "$T/log/file_key.log"
    openssl x509 -req -in "$T/$1.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -days 2 \
        -copy_extensions copy -out "$T/$1.crt" 2>> "$T/log/file_key.log"
    chmod 0644 "$T/$1.key" # a test's
}

# block FILE NAME: of a README, the fenced lines behind <!-- test: NAME -->.
block() {
    local text
    text=$(awk -v name="<!-- test: $2 -->" '$0 == name { on = 1; next } on && /^```/ { if (inside) exit; inside = 1; next } on && inside' \
        "$ROOT/$1")
    [ -n "$text" ] || fail "$1 has no block $2"
    printf '%s\n' "$text"
}

# ---- nginx

# nginx_site NAME HOST [MORE]: a server block on $PORT for $T/NAME.crt and its key reference.
nginx_site() {
    # shellcheck disable=SC2153 # the test file sets PORT
    cat >> "$T/sites.conf" << END
server {
    listen 127.0.0.1:$PORT ssl;
    server_name $2;
    ssl_certificate $T/$1.crt;
    ssl_certificate_key $T/$1.ref.pem;
    ${3-}
    location / { return 200 "hello from $2 over \$ssl_protocol \$ssl_cipher\n"; }
}
END
}

# nginx_conf [MORE]: the rest of the configuration.
nginx_conf() {
    local user=
    [ "$(id -u)" != 0 ] || user="user www-data;"
    mkdir -p "$T/nginx"
    cat > "$T/nginx.conf" << END
$user
daemon on;
pid $T/nginx.pid;
error_log $T/log/nginx.log info;
worker_processes 2;
env OPENSSL_CONF;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $T/nginx/body;
    proxy_temp_path $T/nginx/proxy;
    fastcgi_temp_path $T/nginx/fastcgi;
    uwsgi_temp_path $T/nginx/uwsgi;
    scgi_temp_path $T/nginx/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
    ssl_session_cache off;
    ssl_session_tickets off;
    ${1-}
    include $T/sites.conf;
}
END
}

# nginx_run [ARG...]: nginx with our configuration and provider.
nginx_run() {
    [ -e "$T/openssl-keyd.cnf" ] || provider_conf "$T/openssl-keyd.cnf" "$SOCKET"
    OPENSSL_CONF=$T/openssl-keyd.cnf foreign nginx -p "$T" -e "$T/log/nginx.log" \
        -c "$T/nginx.conf" "$@"
}

# start_nginx: starts it and waits until it listens.
start_nginx() {
    nginx_run > "$T/log/nginx-start.log" 2>&1 || fail "nginx: $(tail -n 3 "$T/log/nginx-start.log")"
    soon 10 test -s "$T/nginx.pid"
    started "$(cat "$T/nginx.pid")"
    soon 10 listening "$PORT"
}
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

stop_nginx() { end "$(cat "$T/nginx.pid")" || fail "nginx did not end"; }

# handshake HOST ARG...: one handshake with $PORT by s_client; what it said is left in $said.
handshake() {
    local host=$1
    shift
    said=$(timeout $((10 * SLOW)) openssl s_client -connect "127.0.0.1:$PORT" -servername "$host" \
        -verify_hostname "$host" -CAfile "$T/ca.pem" -verify_return_error "$@" < /dev/null 2>&1)
}

# get HOST ARG...: one request by curl; prints the body.
get() {
    local host=$1
    shift
    curl -sS --max-time $((10 * SLOW)) --cacert "$T/ca.pem" \
        --resolve "$host:$PORT:127.0.0.1" "$@" "https://$host:$PORT/"
}

# ---- running the cases

FAILED=

cleanup() {
    local pid i
    trap - EXIT INT TERM
    if [ -e "$T/pids" ]; then
        while read -r pid; do
            kill -s TERM "$pid" 2> /dev/null
        done < "$T/pids"
        while read -r pid; do
            for ((i = 0; i < 200; i++)); do
                alive "$pid" || continue 2
                sleep 0.05
            done
            kill -s KILL "$pid" 2> /dev/null
        done < "$T/pids"
    fi
    sanitizer_found && FAILED=1
    if [ -n "$FAILED" ]; then
        rm -rf "${KEYD_TEST_LOGS:?}/$FILE"
        mkdir -p "$KEYD_TEST_LOGS/$FILE"
        cp "$T"/log/* "$T"/*.conf "$KEYD_TEST_LOGS/$FILE/" 2> /dev/null
    fi
    [ ! -e "$T/ports" ] || xargs -r rmdir < "$T/ports" 2> /dev/null
    if [ -n "${KEYD_TEST_KEEP-}" ]; then echo "# kept: $T"; else rm -rf --one-file-system "$T"; fi
    [ -z "$FAILED" ] || exit 1
    exit 0
}

# A sanitizer's report in any log fails the file, whatever the cases said.
sanitizer_found() {
    local found
    found=$(grep -hE 'ERROR: (Address|Thread|Leak)Sanitizer|runtime error:' "$T"/log/* 2> /dev/null |
        head -n 1)
    [ -n "$found" ] || return 1
    printf 'not ok %s/sanitizer %s\n' "$FILE" "$found"
}

interrupted() {
    printf 'not ok %s/%s interrupted (out of time?)\n' "$FILE" "${CURRENT:-start}"
    FAILED=1
    exit 1
}
trap cleanup EXIT
trap interrupted INT TERM

# The first failure is the one to tell: a later one follows from it.
run_function() {
    set -eE
    trap '[ -e "$T/reason" ] ||
        printf "line %s: %s\n" "$LINENO" "${BASH_COMMAND:0:300}" > "$T/reason"' ERR
    trap - EXIT INT TERM
    "$@"
}
reason() { tr '\n' ' ' 2> /dev/null < "$T/reason"; }

# run_cases [NAME...]: all of the file, or those named.
run_cases() {
    local name status
    [ $# -gt 0 ] || {
        # shellcheck disable=SC2046
        set -- $(sed -n 's/^case_\([a-z0-9_]*\)() .*/\1/p' "$0")
    }
    for name; do
        CURRENT=$name
        rm -f "$T/reason"
        printf '== %s\n' "$name" >> "$T/log/cases.log"
        # In the background, so that a signal reaches this shell at once and not after the case.
        (run_function "case_$name") >> "$T/log/cases.log" 2>&1 &
        wait $!
        status=$?
        case $status in
            0) printf 'ok %s/%s\n' "$FILE" "$name" ;;
            77) printf 'skip %s/%s %s\n' "$FILE" "$name" "$(reason)" ;;
            *)
                printf 'not ok %s/%s %s\n' "$FILE" "$name" "$(reason || echo "status $status")"
                FAILED=1
                ;;
        esac
    done
}

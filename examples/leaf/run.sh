#!/usr/bin/env bash
# Two sites and a hub: three real nats-servers on loopback, a stack and an adapter at each site, and everything read at
# the hub. Then the link of one site is cut for LEAF_CUT seconds (30) and mended, and what the hub has is held
# against what the sites told. With LEAF_STAY=1 it runs on until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/../.."

cut=${LEAF_CUT:-30}
case $cut in '' | *[!0-9]*)
    echo "leaf: LEAF_CUT is a whole number of seconds, not '$cut'" >&2
    exit 2
    ;;
esac

# A program that was built before, or a debug build.
observe=${OBSERVE:-}
if [ -z "$observe" ]; then
    cargo build --quiet --bin observe
    observe=${CARGO_TARGET_DIR:-target}/debug/observe
fi
server=${OBSERVE_TEST_NATS_SERVER:-}
if [ -z "$server" ]; then
    scripts/tools.sh
    server=.tools/nats-server
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/observe-leaf.XXXXXX")
# Nothing of this user's is touched, and no setting of the shell leads elsewhere.
export XDG_STATE_HOME=$folder/state
unset NATS_URL NATS_USER NATS_PASSWORD NATS_TOKEN NATS_CREDS NATS_NKEY NATS_CA NATS_CERT NATS_KEY
unset PC_ADDRESS PC_PORT_NUM PC_SOCKET_PATH PC_API_TOKEN PC_API_TOKEN_PATH

# What runs, the newest first: so that each one's servers outlive it.
running=()

start() {
    "$@" </dev/null &
    last=$!
    running=("$last" ${running[@]+"${running[@]}"})
}

end() {
    local one
    for one in ${running[@]+"${running[@]}"}; do
        kill -TERM "$one" 2>/dev/null || true
        wait "$one" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 0' INT
trap 'exit 143' TERM

fail() {
    echo "leaf: $1; the last that was written:" >&2
    tail -n 3 "$folder"/*/*.log >&2
    exit 1
}

# Waits until a command succeeds, a minute at most.
await() {
    local what=$1 tries=0
    shift
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || fail "$what did not come within a minute"
        sleep 0.2
    done
}

# One of the three servers, with its configuration, on a port of its own.
broker() {
    local name=$1 config=$2
    mkdir -p "$folder/$name"
    cp "$config" "$folder/$name/server.conf"
    export FOLDER=$folder/$name LOG=$folder/$name/server.log STORE=$folder/$name/store PORT=${PORT:--1} SITE=$name
    start "$server" -c "$folder/$name/server.conf"
    await "the broker of $name" grep -q 'nats:' "$folder/$name/nats-server_$last.ports"
}

url() {
    sed -n 's/.*"\(nats:[^"]*\)".*/\1/p' "$folder/$1"/*.ports
}

# Asks the hub, as `nats request` does, and gives its answer.
ask() {
    local body=$2 line answer
    exec 3<>"/dev/tcp/127.0.0.1/${hub##*:}"
    printf 'CONNECT {"verbose":false}\r\nSUB _INBOX.leaf 1\r\nPUB %s _INBOX.leaf %s\r\n%s\r\n' "$1" "$(printf %s "$body" | wc -c)" "$body" >&3
    while IFS= read -r -t 5 line <&3; do
        case $line in MSG*)
            IFS= read -r -t 5 answer <&3
            break
            ;;
        esac
    done
    exec 3>&-
    printf '%s\n' "${answer:-}"
}

export LEAF_PORT=-1
broker hub examples/leaf/hub.conf
hub=$(url hub)
leaf_port=$(sed -n 's/.*Listening for leafnode connections on .*:\([0-9]*\)$/\1/p' "$folder/hub/server.log")
export HUB=nats-leaf://127.0.0.1:$leaf_port

for site in north south; do
    broker "$site" examples/leaf/site.conf
    start "$observe" simulate --random 5 --rate 1 --seed 7 --name "$site" -u "$folder/$site/pc.sock" >"$folder/$site/stack.log" 2>&1
    await "the stack of $site" test -S "$folder/$site/pc.sock"
    start "$observe" adapter -u "$folder/$site/pc.sock" -s "$(url "$site")" --interval 500ms 2>"$folder/$site/adapter.log"
done

case $(ask '$JS.hub.API.STREAM.CREATE.PROCESS_EVENTS_ALL' "$(cat examples/leaf/stream.json)") in
*'"error"'* | '') fail "the hub does not take its stream" ;;
esac
at_hub=(-s "$hub" --js-domain hub --stream PROCESS_EVENTS_ALL)
echo "leaf: observe watch ${at_hub[*]}" >&2

# Every event of a site in the order of a stream: its number in its journal, once each.
numbers() {
    "$observe" history --json --gaps "$@" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p'
}
told() {
    numbers -s "$(url "$1")"
}
gathered() {
    numbers "${at_hub[@]}" --source "$1"
}

stands() {
    local said
    said=$(timeout 2 "$observe" watch "${at_hub[@]}" 2>&1 >/dev/null || true)
    grep -q '^north: 5 processes' <<<"$said" && grep -q '^south: 5 processes' <<<"$said"
}
await "the heads at the hub" stands
start "$observe" watch "${at_hub[@]}"
sleep 3

link() {
    local tries=0
    sed "s|url: .*|url: \$HUB\n    disabled: $1|" examples/leaf/site.conf >"$folder/south/server.conf"
    "$server" --signal "reload=$south"
    until [ "$(grep -c "Disabled value is: $1" "$folder/south/server.log")" -ge 1 ]; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || fail "this nats-server does not cut a link by configuration (2.15 does)"
        sleep 0.1
    done
}
south=$(sed -n 's/.*_\([0-9]*\)\.ports$/\1/p' <<<"$(ls "$folder"/south/*.ports)")

echo "leaf: the link of south is cut for $cut s" >&2
link true
before=$(gathered south | wc -l)
sleep "$cut"
during=$(gathered south | wc -l)
behind=$(told south | wc -l)
link false
echo "leaf: the link of south is mended; the hub has $during of its $behind events, $((during - before)) of them since the cut" >&2

# What was told until now is what the hub must have, no matter what comes meanwhile.
for site in north south; do
    told "$site" >"$folder/$site/told"
    lines=$(wc -l <"$folder/$site/told")
    arrived() {
        gathered "$site" >"$folder/$site/gathered"
        [ "$(wc -l <"$folder/$site/gathered")" -ge "$lines" ]
    }
    await "all of $site" arrived
    head -n "$lines" "$folder/$site/gathered" | cmp -s - "$folder/$site/told" ||
        fail "what the hub has of $site is not what $site told"
done
await "the heads at the hub" stands
echo "leaf: nothing is lost, nothing is there twice: $(cat "$folder"/*/told | wc -l) events at both sites and at the hub" >&2

if [ "${LEAF_STAY:-}" = 1 ]; then
    wait
fi

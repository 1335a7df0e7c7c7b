#!/usr/bin/env bash
# Starts a broker, a stack and the adapter, and shows what the stack does until Ctrl-C. With DEMO_SECONDS=20 it ends by
# itself, and fails unless it has shown a process start, become healthy, crash and restart.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${DEMO_SECONDS:-}
case $seconds in *[!0-9]*)
    echo "demo: DEMO_SECONDS is a whole number of seconds, not '$seconds'" >&2
    exit 2
    ;;
esac

stack=$(command -v process-compose || true)
if [ -n "$stack" ]; then
    echo "demo: the stack is process-compose.yaml, run by $stack"
else
    echo "demo: no process-compose on PATH, so \`observe simulate examples/stacks/shop.yaml\` plays the stack"
fi

if [ "${OFFLINE:-}" = 1 ]; then
    export CARGO_NET_OFFLINE=true
fi
scripts/tools.sh
# A debug build: it is there in less than half the time of a release build, and shows the same.
cargo build --quiet --bin observe
observe=${CARGO_TARGET_DIR:-target}/debug/observe

folder=$(mktemp -d "${TMPDIR:-/tmp}/observe-demo.XXXXXX")
# The demo touches no state of this user's, and no setting of the shell leads it elsewhere.
export XDG_STATE_HOME=$folder/state
unset NATS_URL NATS_USER NATS_PASSWORD NATS_TOKEN NATS_CREDS NATS_NKEY NATS_CA NATS_CERT NATS_KEY
unset PC_ADDRESS PC_PORT_NUM PC_SOCKET_PATH PC_API_TOKEN PC_API_TOKEN_PATH

# Process groups, the newest first: they are ended in this order, so that each one's servers outlive it.
groups=()

# Runs a command as a process group of its own, out of the reach of Ctrl-C, which is ours to pass on.
run() {
    set -m
    "$@" </dev/null &
    set +m
    groups=("$!" ${groups[@]+"${groups[@]}"})
}

alive() {
    kill -0 -- "-$1" 2>/dev/null
}

end() {
    local group tries
    for group in ${groups[@]+"${groups[@]}"}; do
        kill -TERM -- "-$group" 2>/dev/null || true
        tries=0
        while alive "$group" && [ "$tries" -lt 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        kill -KILL -- "-$group" 2>/dev/null || true
        wait "$group" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 0' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap '' PIPE

fail() {
    echo "demo: $1" >&2
    if [ -n "${2:-}" ] && [ -s "$2" ]; then
        tail -n 5 "$2" >&2
    fi
    exit 1
}

newest_log() {
    ls -t "$folder"/*.log | head -n 1
}

# Waits up to fifteen seconds until a command succeeds.
await() {
    local what=$1 log=$2 tries=0
    shift 2
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -le 150 ] || fail "$what did not come up within 15 s" "$log"
        sleep 0.1
    done
}

broker_port() {
    url=$(sed -n 's/.*"\(nats:[^"]*\)".*/\1/p' "$folder"/*.ports | head -n 1)
    [ -n "$url" ]
}

cat >"$folder/nats.conf" <<CONF
host: 127.0.0.1
port: -1
ports_file_dir: "$folder"
log_file: "$folder/nats.log"
jetstream { store_dir: "$folder/store" }
CONF
run .tools/nats-server -c "$folder/nats.conf"
await "nats-server" "$folder/nats.log" broker_port

socket=$folder/pc.sock
if [ -n "$stack" ]; then
    run "$stack" -t=false -u "$socket" -L "$folder/stack.inner.log" -f process-compose.yaml up >"$folder/stack.log" 2>&1
else
    run "$observe" simulate examples/stacks/shop.yaml -u "$socket" >"$folder/stack.log" 2>&1
fi
await "the stack" "$folder/stack.log" test -S "$socket"

run "$observe" adapter -u "$socket" -s "$url" 2>"$folder/adapter.log"
await "the adapter" "$folder/adapter.log" test -s "$folder/adapter.log"

echo "demo: broker $url, stack $socket; Ctrl-C ends it all"
watch=("$observe" watch -s "$url" -n 100)
if [ -n "$seconds" ]; then
    run "${watch[@]}" >"$folder/shown"
    started=$SECONDS
    run tail -n +1 -f "$folder/shown"
else
    run "${watch[@]}"
fi
view=$!
while alive "$view"; do
    for group in "${groups[@]}"; do
        alive "$group" || [ "$group" = "$view" ] || fail "a part of the demo has ended by itself" "$(newest_log)"
    done
    if [ -n "$seconds" ] && [ $((SECONDS - started)) -ge "$seconds" ]; then
        break
    fi
    sleep 0.2 &
    wait $! || true
done

if [ -n "$seconds" ]; then
    alive "$view" || fail "nobody reads any more"
    for word in started healthy crashed restarted; do
        grep -Eq "^[0-9:]+ [^ ]+ $word " "$folder/shown" || fail "in $seconds s it has not shown '$word'" "$folder/adapter.log"
    done
    echo "demo: shown in $seconds s: started, healthy, crashed, restarted" >&2
else
    # The reader of our pipe left, which is no failure; or the view failed, which has said why.
    wait "$view"
fi

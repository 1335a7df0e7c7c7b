#!/usr/bin/env bash
# Runs every test against a real nats-server. OFFLINE=1 downloads nothing: what `make tools` fetched before is there, or
# is named (OBSERVE_TEST_NATS_SERVER, OBSERVE_TEST_CLIENTS).
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${OFFLINE:-}" = 1 ]; then
    export CARGO_NET_OFFLINE=true
fi
scripts/tools.sh
scripts/clients.sh
export OBSERVE_TEST_NATS_SERVER=$PWD/.tools/nats-server
export OBSERVE_TEST_CLIENTS=${OBSERVE_TEST_CLIENTS:-$PWD/.tools/clients}

# Says which of the two it is, so that a green run does not claim more than it saw.
real=${OBSERVE_TEST_PROCESS_COMPOSE:-$(command -v process-compose || true)}
if [ -n "$real" ]; then
    export OBSERVE_TEST_PROCESS_COMPOSE=$real
    echo "test: with the real process-compose at $real, with recordings of it and with the simulator"
else
    echo "test: no process-compose on PATH: recordings of a real one and the simulator stand in"
fi

# All of them, whatever fails on the way.
cargo test --no-fail-fast "$@"

#!/usr/bin/env bash
# Two adapters, a broker, a source and the wires between them, killed, stopped, cut and filled up at random; the stream is
# then held against the truth. CHAOS_SECONDS=600 and CHAOS_SEED (a new one each time) choose another length and seed;
# An older store comes back once a minute, but for CHAOS_OLDER=0; CHAOS_PLAN=1 prints the list of faults first. The seeds that
# failed once come after it, half a minute each.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${OFFLINE:-}" = 1 ]; then
    export CARGO_NET_OFFLINE=true
fi
scripts/tools.sh
export OBSERVE_TEST_NATS_SERVER=$PWD/.tools/nats-server
export CHAOS_SECONDS=${CHAOS_SECONDS:-600}
export CHAOS_SEED=${CHAOS_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "chaos: seed $CHAOS_SEED, $CHAOS_SECONDS s"
cargo test --test it chaos:: -- --include-ignored --nocapture --test-threads=1

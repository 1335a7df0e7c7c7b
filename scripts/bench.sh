#!/usr/bin/env bash
# Measures what observe costs, as ratios against references in the same run, against a real nats-server. QUICK=1 takes under
# two minutes; arguments name the parts that are measured (look, commit, replay, live, past, source, growth, bounds, size);
# UPDATE_DOCS=1 puts the figures into docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${OFFLINE:-}" = 1 ]; then
    export CARGO_NET_OFFLINE=true
fi
if [ -z "${OBSERVE_TEST_NATS_SERVER:-}" ]; then
    scripts/tools.sh
    export OBSERVE_TEST_NATS_SERVER=$PWD/.tools/nats-server
fi
# Measured is what is shipped: built after the bench, because together with it the program would have what only tests need.
built=$(cargo bench --bench ratios --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
cargo build --release --bin observe
"$built" --bench "$@"

#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60), one after the other; `scripts/fuzz.sh table head` only these.
# What was learnt stays in fuzz/corpus, a crash in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
if ! command -v cargo-fuzz >/dev/null; then
    echo "fuzz: cargo-fuzz is missing; cargo install cargo-fuzz" >&2
    exit 1
fi
if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "fuzz: the nightly toolchain is missing, and libFuzzer needs it; rustup toolchain install nightly" >&2
    exit 1
fi

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    mapfile -t targets < <(cd fuzz/targets && printf '%s\n' *.rs | sed 's/\.rs$//')
fi

# The recordings and the examples are the seeds: the property tests write down what they begin from.
FUZZ_SEEDS=$PWD/fuzz/seeds cargo test --quiet --lib fuzzing::tests::seeds -- --ignored >/dev/null

total=0
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
    log=$(mktemp)
    if ! cargo +nightly fuzz run --sanitizer "${FUZZ_SANITIZER:-none}" "$target" \
        "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
        >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $target failed; the input lies in fuzz/artifacts/$target" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    total=$((total + ${runs:-0}))
    printf 'fuzz: %-16s %10s executions in %s s, nothing found\n' "$target" "${runs:-?}" "$seconds"
    rm -f "$log"
done
echo "fuzz: ${#targets[@]} targets, $total executions, nothing found"

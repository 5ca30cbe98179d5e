#!/usr/bin/env bash
# Builds the examples into the folder that is given, with Debian's rustc, libstd-rust-dev-wasm32 and lld-14.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"

rustc=(/usr/bin/rustc --edition 2021 --target wasm32-unknown-unknown -C opt-level=s -C target-feature=+bulk-memory
	-C panic=abort -C codegen-units=1)
linker=(-C linker=/usr/bin/wasm-ld-14 -C linker-flavor=wasm-ld -C lto -C link-arg=-zstack-size=16384)

library=$(mktemp -d)
trap 'rm -r "$library"' EXIT
"${rustc[@]}" -D warnings --crate-type rlib --crate-name protoo -o "$library/libprotoo.rlib" src/lib.rs
for source in examples/*.rs; do
	"${rustc[@]}" "${linker[@]}" -D warnings -C strip=symbols --crate-type cdylib --extern protoo="$library/libprotoo.rlib" \
		--remap-path-prefix "$library"= -o "$out/$(basename "$source" .rs).wasm" "$source"
done

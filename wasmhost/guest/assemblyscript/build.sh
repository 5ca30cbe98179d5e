#!/usr/bin/env bash
# Builds the examples into the folder that is given, with the compiler that "npm ci" puts into node_modules.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"

[ -x node_modules/.bin/asc ] || npm ci --no-audit --no-fund
for source in examples/*.ts; do
	node_modules/.bin/asc "$source" -O3 --shrinkLevel 1 --runtime minimal --exportStart _initialize --use abort=protoo/abort --transform ./manifest.mjs \
		-o "$out/$(basename "$source" .ts).wasm"
done

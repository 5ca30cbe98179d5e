#!/usr/bin/env bash
# Builds the examples into the folder that is given, with Debian's wabt. Its assembler cannot write custom sections, so the
# manifest, the JSON file that has the name of the source, is appended here.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"
export LC_ALL=C # counts bytes

byte() { printf "\\x$(printf %02x "$1")"; }

# A number in LEB128, see section 5.2.2 of the WebAssembly specification.
number() {
	local n=$1
	for (( ; n > 127; n >>= 7)); do byte $((n & 127 | 128)); done
	byte "$n"
}

# A custom section, see section 5.5.3.
section() {
	byte 0
	number $((1 + ${#1} + ${#2}))
	number ${#1}
	printf %s "$1" "$2"
}

for source in examples/*.wat; do
	module=$out/$(basename "$source" .wat).wasm
	wat2wasm -o "$module" "$source"
	section protoo.manifest "$(<"${source%.wat}.json")" >>"$module"
done

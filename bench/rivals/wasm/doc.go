// Package wasm compares hosts of WebAssembly middleware with each other: what a request costs, what an instance costs, and what
// becomes of a module that does not end. All of it is in the tests and benchmarks.
package wasm

// Package guest has the sources of the libraries with which modules are written, for tools that hand them out.
package guest

import "embed"

// Files are the sources, in a folder for each language.
//
//go:embed go/*.go c/protoo.h rust/src/*.rs assemblyscript/protoo.ts zig/protoo.zig
var Files embed.FS

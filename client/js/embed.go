// Package js carries the JavaScript client, for servers that serve it to their pages.
package js

import _ "embed"

// Module is the source of the client, an ES module that imports nothing.
// Serve it as text/javascript.
//
//go:embed protoo.js
var Module string

// Minified is the same module in half the bytes, and hard to read.
//
//go:embed protoo.min.js
var Minified string

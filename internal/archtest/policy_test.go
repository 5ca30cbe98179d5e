// Package archtest holds the direction of imports between the packages of this
// module, as data, and the test that fails when a package leaves it.
//
// The direction is
//
//	cmd → transports, wasmhost, middleware, client → core → standard library
//
// A package that is new needs a rule here before the tests pass, and so does a
// module from elsewhere: both are decisions that a reviewer should see.
package archtest

import "slices"

const module = "github.com/protoo-go/protoo"

// A rule says what the packages named by pkg may import besides the standard
// library. Where several rules name a package, the longest one counts.
//
// Paths are relative to the module. A path that ends in "/..." stands for the
// package and all below it, "..." alone for every package of the module.
//
// What is denied must not be imported by any package of this module that pkg
// reaches. The standard library's own imports do not count: fmt may use reflect.
type rule struct {
	pkg     string
	ours    []string // packages of this module
	modules []string // modules from elsewhere
	deny    []string // packages of the standard library
	tests   []string // packages of this module that test files may import as well
}

// system is what keeps a package from running in WebAssembly, in a browser or a
// plugin. Of net and below only what parses stays allowed: net/url and net/netip.
var system = []string{
	"net", "net/http/...", "net/mail", "net/rpc/...", "net/smtp", "net/textproto",
	"os/exec", "os/signal", "os/user", "plugin", "runtime/cgo", "syscall/...", "unsafe",
}

// logs is denied to libraries: they return errors and call hooks, the program
// that embeds them decides what is logged.
var logs = []string{"log/..."}

// costly is what the rest of core does without, so that what a call costs, and a
// program that contains core weighs, can be read in its source.
var costly = []string{"reflect", "testing/..."}

// harness is what tests of every package may use: the conformance suite and
// the in-process transport.
var harness = []string{"core", "core/coretest", "transports/memory"}

var policy = []rule{
	{
		pkg:   "core",
		ours:  []string{"core/internal/..."},
		deny:  slices.Concat(system, logs, costly),
		tests: harness,
	},
	{
		pkg:  "core/internal/...",
		ours: []string{"core/internal/..."},
		deny: slices.Concat(system, logs, costly),
	},
	// A program whose size is measured; nothing can import it.
	{pkg: "core/internal/sizeprobe", ours: []string{"core"}, deny: system},
	// The suite that a transport's tests call: it stays as portable as core.
	{pkg: "core/coretest", ours: []string{"core"}, deny: slices.Concat(system, logs), tests: harness},

	// Transports know core and never each other.
	{
		pkg:   "transports/memory",
		ours:  []string{"core"},
		deny:  slices.Concat(system, logs),
		tests: harness,
	},
	{pkg: "transports/internal/...", ours: []string{"core", "internal/network"}, deny: logs},
	{
		pkg:  "transports/websocket/...",
		ours: []string{"core", "transports/internal/...", "transports/websocket/..."},
		modules: []string{
			"github.com/gobwas/httphead",
			"github.com/gobwas/pool",
			"github.com/gobwas/ws",
			"github.com/klauspost/compress",
			"golang.org/x/sys",
		},
		deny:  logs,
		tests: harness,
	},
	{
		pkg:  "transports/webtransport/...",
		ours: []string{"core", "transports/internal/...", "transports/webtransport/..."},
		modules: []string{
			"github.com/quic-go/quic-go",
			"github.com/quic-go/webtransport-go",
		},
		deny:  logs,
		tests: append(slices.Clone(harness), "internal/udpproxy"),
	},

	{
		pkg:   "middleware/...",
		ours:  []string{"core", "middleware/internal/..."},
		deny:  logs,
		tests: append(slices.Clone(harness), "middleware/..."),
	},
	{
		pkg:     "wasmhost/...",
		ours:    []string{"core", "wasmhost/..."},
		modules: []string{"github.com/tetratelabs/wazero"},
		deny:    logs,
		tests:   append(slices.Clone(harness), "middleware/..."),
	},
	// It handles what strangers send. The engine is for its tests.
	{pkg: "wasmhost/meter", modules: []string{"github.com/tetratelabs/wazero"}, deny: slices.Concat(system, logs)},
	// What a module's author imports must not bring the host or its engine along.
	{pkg: "wasmhost/guest/...", ours: []string{"core", "wasmhost/guest/...", "wasmhost/kv"}, tests: harness},
	{pkg: "wasmhost/kv", deny: slices.Concat(system, logs)},
	// The client shares the wire with the transports, hence may use their dialers.
	{
		pkg:   "client/...",
		ours:  []string{"core", "client/...", "transports/..."},
		deny:  logs,
		tests: append(slices.Clone(harness), "middleware/..."),
	},

	// Programs put the parts together.
	{
		pkg:  "cmd/...",
		ours: []string{"core", "transports/...", "wasmhost/...", "middleware/...", "client/...", "cmd/...", "internal/network"},
		modules: []string{
			"github.com/getkin/kin-openapi", // checks the document of the API, in tests
			"github.com/go-jose/go-jose",
			"github.com/gobwas/ws", // its client, in tests
			"github.com/goccy/go-yaml",
			"github.com/pires/go-proxyproto",
			"github.com/prometheus/client_golang",
			"github.com/quic-go/quic-go", // its HTTP/3 client, in tests
			"github.com/sony/gobreaker",
			"github.com/spf13/pflag",
			"golang.org/x/crypto",
			"golang.org/x/sys",
			"golang.org/x/term",
		},
		tests: harness,
	},
	{
		pkg:  "bench/...",
		ours: []string{"..."},
		modules: []string{
			"github.com/HdrHistogram/hdrhistogram-go",
			"github.com/go-analyze/charts",
			"github.com/gobwas/ws",
			"github.com/quic-go/quic-go",
			"github.com/quic-go/webtransport-go",
			"golang.org/x/sys",
		},
		tests: harness,
	},
	{pkg: "e2e/...", ours: []string{"..."}},
	{pkg: "examples/...", ours: []string{"..."}},

	{pkg: "internal/archtest"},
	{pkg: "internal/network", deny: slices.Concat(system, logs)},
	{pkg: "internal/release", ours: []string{"core"}},
	{pkg: "internal/udpproxy", deny: logs},
}

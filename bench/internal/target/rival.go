package target

import (
	"context"
	"crypto/tls"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/server"
)

// A Rival is a server that others have written, or one of theirs around a library.
type Rival struct {
	Name     string
	Settings string // that it runs with

	// command has %p for the port; "./bin/" is where Build puts programs. On each line of its standard input the program gives back what memory
	// it does not need and answers with {}, and it ends with it.
	command  []string
	needs    string // the file without which it is not installed
	module   string // in Go, or the package of npm, whose version is told
	url      string // %a is the address
	protocol string // of WebSocket
	dialect  load.Dialect
}

const rivalURL = "ws://%a/"

// Rivals are all that there are.
var Rivals = []Rival{
	golang("gws", "github.com/lxzan/gws", "handlers on the reading goroutine, as by default"),
	golang("coder", "github.com/coder/websocket", "no compression, contexts without an end"),
	golang("gorilla", "github.com/gorilla/websocket", "buffers of 1 KiB, those for writing pooled"),
	golang("gobwas", "github.com/gobwas/ws", "with wsutil, its own upgrade instead of net/http's"),
	overWebTransport(),
	{
		Name: "ws-npm", Settings: "npm ws with bufferutil, no compression",
		command: []string{"node", "--expose-gc", "--import", "./attend.js", "./ws/server.js", "%p"}, needs: "node_modules/ws", module: "ws",
		url: rivalURL, protocol: "protoo", dialect: load.Protoo,
	},
	{
		Name: "bun", Settings: "Bun.serve, no compression",
		command: []string{"./node_modules/.bin/bun", "--preload", "./attend.js", "./bun/server.js", "%p"}, needs: "node_modules/.bin/bun", module: "bun",
		url: rivalURL, dialect: load.Protoo,
	},
	{
		Name: "socket.io", Settings: "Socket.IO over WebSocket only, no compression; an event with an acknowledgement for a request",
		command: []string{"node", "--expose-gc", "--import", "./attend.js", "./socketio/server.js", "%p"}, needs: "node_modules/socket.io", module: "socket.io",
		url: "ws://%a/socket.io/?EIO=4&transport=websocket",
		dialect: load.Dialect{
			Request:  `42$id["message",{"path":"$path","data":$data}]`,
			Response: `43$id[{"status":200,"reason":"OK","data":$data}]`,
			Hello:    []string{"40"},
			Skip:     2,
			Ping:     "2",
			Pong:     "3",
		},
	},
	{
		Name: "protoo-server", Settings: "npm protoo-server 4 with its own messages, answers in one frame",
		command: []string{"node", "--expose-gc", "--import", "./attend.js", "./protoo-server/server.js", "%p"}, needs: "node_modules/protoo-server", module: "protoo-server",
		url: rivalURL, protocol: "protoo",
		dialect: load.Dialect{
			Request:  `{"request":true,"id":$id,"method":"message","data":$data}`,
			Response: `{"response":true,"id":$id,"ok":true,"data":$data}`,
		},
	},
}

func golang(name, module, settings string) Rival {
	return Rival{
		Name: name, Settings: strings.TrimPrefix(module, "github.com/") + ", " + settings + "; GOGC like ours", module: module,
		command: []string{"./bin/" + name, "-attended", "-addr", "127.0.0.1:%p"}, needs: name + "/main.go",
		url: rivalURL, protocol: "protoo", dialect: load.Protoo,
	}
}

func overWebTransport() Rival {
	r := golang("webtransport", "github.com/quic-go/webtransport-go", "one stream, the same frames")
	r.Name = "webtransport-go"
	r.url = "https://%a/"
	r.dialect.Response = `{"status":200,"reason":"ok","id":"$id","data":$data}`
	return r
}

// Build compiles the rivals in Go that are in a folder, and returns where the programs are.
func Build(ctx context.Context, folder string) (string, error) {
	bin, err := os.MkdirTemp("", "protoo-rivals-")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "./...")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build the rivals in %s: %w: %s", folder, err, out), os.RemoveAll(bin))
	}
	return bin, nil
}

// Installed tells whether a rival is there.
func (r *Rival) Installed(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, r.needs))
	return err == nil
}

// Versions returns those of what a rival is made of, by name: modules for Go, its package and Node for JavaScript. What cannot be found out is left out.
func (r *Rival) Versions(ctx context.Context, folder, bin string) map[string]string {
	if name, ok := strings.CutPrefix(r.command[0], "./bin/"); ok {
		info, err := buildinfo.ReadFile(filepath.Join(bin, name))
		if err != nil {
			return nil
		}
		return moduleVersion(info, r.module)
	}
	list := make(map[string]string)
	var manifest struct{ Version string }
	if b, err := os.ReadFile(filepath.Join(folder, "node_modules", r.module, "package.json")); err == nil && json.Unmarshal(b, &manifest) == nil {
		list["npm "+r.module] = manifest.Version
	}
	if r.command[0] == "node" {
		if out, err := exec.CommandContext(ctx, "node", "--version").Output(); err == nil {
			list["node"] = strings.TrimSpace(string(out))
		}
	}
	return list
}

// moduleVersion returns the version of a module that a program was built with, by what it is called in a report.
func moduleVersion(info *buildinfo.BuildInfo, path string) map[string]string {
	for _, m := range info.Deps {
		if m.Path == path {
			return map[string]string{"rival " + path: m.Version}
		}
	}
	return nil
}

// Start starts a rival from their folder; bin is where Build has put programs. The caller closes it.
func (r *Rival) Start(ctx context.Context, folder, bin string, o Options) (*Server, error) {
	address, err := free()
	if err != nil {
		return nil, err
	}
	args := make([]string, len(r.command))
	for i, arg := range r.command {
		args[i] = strings.NewReplacer("%p", portOf(address), "./bin/", bin+"/").Replace(arg)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOGC="+server.GOGC())
	s := &Server{
		address: address,
		proto:   r.protocol,
		dialect: r.dialect,
		rival:   true,
		target:  func(string, string) string { return strings.ReplaceAll(r.url, "%a", address) },
	}
	if u, err := url.Parse(s.target("", "")); err == nil && u.Scheme == "https" {
		// Its certificate is made when it starts, and nobody else could listen on this machine's loopback.
		s.over = &load.WebTransport{TLS: &tls.Config{InsecureSkipVerify: true}}
	}
	if err := s.launch(cmd, o.CPUs); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ready waits until a connection can be made.
func (s *Server) ready(ctx context.Context) error {
	const patience, attempt = 20 * time.Second, time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		dialing, stop := context.WithTimeout(ctx, attempt)
		conn, err := s.Dial(dialing, "first", "d")
		stop()
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s has ended: %s", s.cmd.Path, s.output.String())
		case <-ctx.Done():
			return fmt.Errorf("%s cannot be reached: %w: %s", s.cmd.Path, err, s.output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

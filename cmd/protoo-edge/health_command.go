package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
)

// askTimeout is how long a server may take to say how it is.
const askTimeout = 5 * time.Second

func healthCommand() *command {
	s := new(settings)
	c := &command{
		name:    "health",
		summary: "ask a running server whether it is ready",
		details: `It asks the internal address of a server with this configuration, which is on the same machine or in the same container: there
need be no other program for that. The exit code is 0 if the server is ready, or alive, and 1 otherwise.`,
		flags: s.flags("health"),
	}
	live := c.flags.Bool("live", false, "ask whether it is alive, as it still is while it drains")
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 0); err != nil {
			return 0, err
		}
		// What else is wrong with the configuration is not asked here.
		cfg, err := config.Load(config.Sources{File: cmp.Or(s.file, os.Getenv(config.FileEnv)), Environ: os.Environ(), Flags: s.given})
		if err != nil {
			return 0, err
		}
		if cfg.Internal.Addr == "" {
			return 0, errors.New("internal.addr is off, so there is nobody to ask")
		}
		path := "/readyz"
		if *live {
			path = "/livez"
		}
		return askHealth(ctx, "http://"+reachable(cfg.Internal.Addr)+path, std.out)
	}
	return c
}

// reachable returns an address to connect to for one to listen at, which may be all of them.
func reachable(addr string) string {
	switch host, port, _ := net.SplitHostPort(addr); host {
	case "", "0.0.0.0":
		return net.JoinHostPort("127.0.0.1", port)
	case "::":
		return net.JoinHostPort("::1", port)
	}
	return addr
}

func askHealth(ctx context.Context, url string, out io.Writer) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy of the environment's
	res, err := direct.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(out, printable(strings.TrimSuffix(string(text), "\n")))
	if res.StatusCode != http.StatusOK {
		return exitFailure, nil
	}
	return exitOK, nil
}

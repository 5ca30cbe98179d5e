package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// callSettings are what can be chosen about calling.
type callSettings struct {
	Username string
	UUID     string
	Timeout  time.Duration
	JSON     bool
	Hashes   certificateHashes
}

func callCommand() *command {
	s := new(callSettings)
	f := pflag.NewFlagSet("call", pflag.ContinueOnError)
	f.StringVar(&s.Username, "username", "", "connect as user `name` (default: as the URL says, or $USER)")
	f.StringVar(&s.UUID, "uuid", "", "connect as the user's device `id` (default: as the URL says, or a random one)")
	f.DurationVar(&s.Timeout, "timeout", 0, "how long the final response may take (default 10s, 2m for the method session)")
	f.Var(&s.Hashes, "certificate-hash", "accept the certificate with this SHA-256 `hash`, in base64, for https; may be given several times")
	f.BoolVar(&s.JSON, "json", false, "print one JSON object a line")
	c := &command{
		name:    "call",
		args:    "URL [METHOD PATH [DATA]]",
		summary: "send a request and print the responses, or do so interactively",
		details: `A URL without a scheme is ws://, https:// is WebTransport, one without a path is for /protoo. DATA is JSON; @FILE reads it
from a file and - from the standard input. What begins with a dash and is not a flag goes behind --.

Every response is printed, provisional ones too. The exit code tells of the final one:

  0  accepted (2xx)
  3, 4, 5, 6  rejected (3xx, 4xx, 5xx, 6xx); 4 also if there was no answer (408)
  1  no connection, or interrupted
  2  a mistake in the command line

Without METHOD it reads requests from the terminal, or from the standard input, and shows
those that come in and the answers; "help" there says how. At the end of the input it waits for
the answers still to come, and the exit code is 0.`,
		flags: f,
	}
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 4); err != nil {
			return 0, err
		}
		if len(args) == 0 {
			return 0, usageError("call: missing URL, such as ws://127.0.0.1:8080")
		}
		if len(args) == 2 {
			return 0, usageError(fmt.Sprintf("call: missing path after method %q", args[1]))
		}
		target, err := s.target(args[0])
		if err != nil {
			return 0, err
		}
		if len(args) == 1 {
			return exitOK, talk(ctx, target, s, std)
		}
		data := core.JSON("")
		if len(args) == 4 {
			if data, err = readData(args[3], std.in); err != nil {
				return 0, err
			}
		}
		req := core.NewRequest(args[1], args[2], data)
		req.SetTimeout(s.Timeout)
		return s.call(ctx, target, req, printer{w: std.out, json: s.JSON})
	}
	return c
}

// certificateHashes is the value of a flag.
type certificateHashes [][sha256.Size]byte

func (h *certificateHashes) Set(text string) error {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != sha256.Size {
		return fmt.Errorf("expected %d bytes in base64, as the server prints them", sha256.Size)
	}
	*h = append(*h, [sha256.Size]byte(b))
	return nil
}

func (h *certificateHashes) String() string { return "" }
func (h *certificateHashes) Type() string   { return "hash" }

// target completes a URL with what may be left out of it.
func (s *callSettings) target(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		raw = "ws://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, usageError("call: " + err.Error())
	}
	u.Path = cmp.Or(u.Path, "/protoo")
	query := u.Query()
	query.Set("username", cmp.Or(s.Username, query.Get("username"), os.Getenv("USER"), "anonymous"))
	query.Set("uuid", cmp.Or(s.UUID, query.Get("uuid"), "call-"+strings.ToLower(rand.Text()[:8])))
	u.RawQuery = query.Encode()
	return u, nil
}

// maxData is more than a server takes by default.
const maxData = 16 << 20

// readData returns the data that an argument stands for.
func readData(arg string, stdin io.Reader) (core.JSON, error) {
	text, source, from := []byte(arg), "DATA", io.Reader(nil)
	if arg == "-" {
		source, from = "the standard input", stdin
	} else if name, ok := strings.CutPrefix(arg, "@"); ok {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer file.Close()
		source, from = name, file
	}
	if from != nil {
		var err error
		if text, err = io.ReadAll(io.LimitReader(from, maxData+1)); err != nil {
			return "", err
		}
		if len(text) > maxData {
			return "", fmt.Errorf("%s has more than %d bytes", source, maxData)
		}
	}
	var data json.RawMessage
	if err := json.Unmarshal(text, &data); err != nil {
		return "", usageError(fmt.Sprintf(`call: %s is not JSON: %v (text needs quotes: '"hello"')`, source, err))
	}
	return core.JSON(data), nil
}

// call sends a request, prints the responses, and returns the exit code for the final one.
func (s *callSettings) call(ctx context.Context, target *url.URL, req *core.Request, out printer) (int, error) {
	c, err := client.Dial(ctx, target.String(), client.Options{CertificateHashes: s.Hashes})
	if err != nil {
		return 0, err
	}
	defer hangUp(c)
	final := make(chan *core.Response, 1)
	c.Send(req).OnResponse(func(res *core.Response) {
		unsent := res.IsLocal() && res.Status() == 400
		if !unsent {
			out.response(0, res)
		}
		if !res.IsProvisional() {
			final <- res
		}
	})
	select {
	case res := <-final:
		return exitCode(res)
	case <-ctx.Done():
		return 0, errors.New("interrupted while waiting for the response")
	}
}

// exitCode says how a request has ended.
func exitCode(res *core.Response) (int, error) {
	switch {
	case res.IsLocal() && res.Status() == 400:
		return 0, usageError("call: " + res.Reason())
	case res.IsAccept():
		return exitOK, nil
	}
	return res.Status() / 100, nil
}

// hangUp ends the client, and gives what is queued a moment to reach the server.
func hangUp(c *client.Client) {
	_ = c.Close(0, "")
	select {
	case <-c.Done():
	case <-time.After(2 * time.Second):
	}
}

package main

import (
	"bufio"
	"io"
	"os"

	"golang.org/x/term"
)

// A console is where lines come from and go to: a terminal, on which they can be edited
// while others are printed, or any streams. Write may be called by any goroutine.
type console struct {
	io.Writer
	interactive bool
	readLine    func() (string, error)
	begin       func() (end func(), err error) // what reading needs before and after
}

const prompt = "> "

func newConsole(std streams) *console {
	in, ok := std.in.(*os.File)
	out, too := std.out.(*os.File)
	if ok && too && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd())) {
		return newTerminal(in, out)
	}
	lines := bufio.NewScanner(std.in)
	lines.Buffer(nil, maxData)
	return &console{
		Writer: std.out,
		readLine: func() (string, error) {
			if !lines.Scan() {
				if lines.Err() != nil {
					return "", lines.Err()
				}
				return "", io.EOF
			}
			return lines.Text(), nil
		},
		begin: func() (func(), error) { return func() {}, nil },
	}
}

func newTerminal(in, out *os.File) *console {
	inFd, outFd := int(in.Fd()), int(out.Fd())
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, prompt)
	return &console{
		Writer:      t,
		interactive: true,
		readLine: func() (string, error) {
			// The window may have another size than before. If it cannot be known, 80 columns are assumed.
			if width, height, err := term.GetSize(outFd); err == nil {
				_ = t.SetSize(width, height)
			}
			return t.ReadLine()
		},
		begin: func() (func(), error) {
			old, err := term.MakeRaw(inFd)
			if err != nil {
				return nil, err
			}
			return func() {
				_ = term.Restore(inFd, old)
				_, _ = out.WriteString("\r\n")
			}, nil
		},
	}
}

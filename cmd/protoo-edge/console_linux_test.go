package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/term"

	"github.com/protoo-go/protoo/core"
)

// openTerminal returns the two ends of a pseudo-terminal: where a person types and looks, and what a program has.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	var unlock, number int32
	control(t, person, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(t, person, syscall.TIOCGPTN, unsafe.Pointer(&number))
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	size := [4]uint16{24, 80}
	control(t, person, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	return person, program
}

func control(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) { _, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)) })
	if err != nil || errno != 0 {
		t.Fatalf("ioctl %#x: %v, %v", request, err, errno)
	}
}

func TestTalkOnTerminal(t *testing.T) {
	e := startEdge(t)
	bob := e.connect(t, "bob", "laptop", answering(func(req *core.Request, _ core.Next) error { return req.Reply(200, "read", req.Data()) }))
	person, program := openTerminal(t)
	var screen lockedBuffer
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := person.Read(buf)
			if err != nil {
				return
			}
			_, _ = screen.Write(buf[:n])
		}
	}()
	sees := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(screen.String(), text); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q is not on the screen:\n%q", text, screen.String())
			}
		}
	}
	types := func(keys string) {
		t.Helper()
		if _, err := person.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	before, err := term.GetState(int(program.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), []string{"call", e.url, "--username", "alice", "--uuid", "cli"}, program, program, program)
	}()
	sees("-- connected to ws://" + e.addr + " as alice/cli")
	sees(prompt)

	types("message /users/bob 2\x7f1\r") // a mistake and a backspace
	sees("#1 200 read 1\r\n")
	types("\x1b[A\x7f3\r") // the line before, with another end
	sees("#2 200 read 3\r\n")

	// What comes in while a line is being typed goes above it.
	types("@1 200 half a li")
	sees("half a li")
	answer := bob.Send(core.NewRequest("message", "/users/alice", "psst"))
	sees(`@1 message /users/alice from bob/laptop "psst"` + "\r\n" + prompt + "@1 200 half a li")
	types("ne\r")
	if res, err := answer.Wait(t.Context()); err != nil || res.Reason() != "half a line" {
		t.Errorf("bob got %v, %v", res, err)
	}

	types("\x03") // Ctrl-C
	if code := <-ended; code != exitOK {
		t.Errorf("it has ended with code %d:\n%q", code, screen.String())
	}
	after, err := term.GetState(int(program.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if *after != *before {
		t.Errorf("the terminal was left as %+v, it was %+v", after, before)
	}
}

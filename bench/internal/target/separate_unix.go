//go:build unix

package target

import (
	"os/exec"
	"syscall"
)

// separate keeps the terminal's Ctrl-C from a child: it is this program that ends it, when it has written its report.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

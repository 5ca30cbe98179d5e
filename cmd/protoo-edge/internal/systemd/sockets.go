package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// firstDescriptor is where passed sockets begin: sd_listen_fds(3).
const firstDescriptor = 3

// Sockets returns the sockets that the process was started with, as systemd passes them and sd_listen_fds(3) describes it. It takes them out of
// the environment, so that only the first call finds any, and no child of this process does.
func Sockets() ([]*os.File, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // fails for malformed names only
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // or they are for another process
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1024 {
		return nil, fmt.Errorf("LISTEN_FDS is %q, expected a number up to 1024", count)
	}
	var files []*os.File
	for i := range n {
		name := "LISTEN_FD_" + strconv.Itoa(firstDescriptor+i)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		closeOnExec(firstDescriptor + i)
		files = append(files, os.NewFile(uintptr(firstDescriptor+i), name))
	}
	return files, nil
}

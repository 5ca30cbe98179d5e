package wasm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A host may never stop a guest, so each runs in a process of its own.

// patience is how long a guest may run.
const patience = 3 * time.Second

// timeLimit is what hosts with a clock are told.
const timeLimit = 20 * time.Millisecond

// cellEnv names a host and a runaway, for a process that does nothing but run that.
const cellEnv = "RIVALS_WASM_CELL"

// unlimitedCell is behind the name of a runaway that the host does nothing about.
const unlimitedCell = " without limits"

// A cell is what a host has done about a runaway.
type cell struct {
	Stopped bool
	Took    time.Duration
	Err     string // "" if the guest has ended by itself
	Peak    int    // KB that the process has taken more than before, 0 where that is not known
}

func (c cell) String() string {
	s := fmt.Sprintf("not stopped in %.0f s", patience.Seconds())
	if c.Stopped {
		s = digits(float64(c.Took.Microseconds())/1000) + " ms"
		if c.Err == "" {
			s += ", by itself"
		}
	}
	if c.Peak > 32<<10 {
		s += fmt.Sprintf(", %d MB", c.Peak>>10)
	}
	return s
}

// runCell is the process for a cell. It prints a line when it is ready, and another when the guest has been stopped.
func runCell(name string) error {
	hostName, runaway, _ := strings.Cut(name, "|")
	h := hosts[slices.IndexFunc(hosts, func(h host) bool { return h.name == hostName })]
	limit := timeLimit
	runaway, unlimited := strings.CutSuffix(runaway, unlimitedCell)
	if unlimited {
		limit = 0
	}
	l, err := h.load(options{runaway: runaway, limit: limit})
	if err != nil {
		return err
	}
	s, err := l.instance(context.Background())
	if err != nil {
		return err
	}
	before := peak("self")
	fmt.Println("{}")
	began := time.Now()
	err = s.request(newRequest())
	c := cell{Stopped: true, Took: time.Since(began), Peak: peak("self") - before}
	if err != nil {
		c.Err = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// try runs a cell.
func try(ctx context.Context, h *host, runaway string, procs int, limit time.Duration) (cell, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), cellEnv+"="+h.name+"|"+runaway, "GOMAXPROCS="+strconv.Itoa(procs))
	if h.inGo {
		file, err := goGuest(map[bool]string{true: "protoo", false: "goplugin"}[h.ours()])
		if err != nil {
			return cell{}, err
		}
		cmd.Env = append(cmd.Env, guestsEnv+"="+filepath.Dir(file))
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return cell{}, err
	}
	if err := cmd.Start(); err != nil {
		return cell{}, err
	}
	defer func() { _ = cmd.Wait() }() // it may have been killed
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		return cell{}, fmt.Errorf("%s, %s: %w", h.name, runaway, err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	before := peak(pid)
	killed := make(chan int, 1)
	late := time.AfterFunc(limit, func() {
		killed <- peak(pid) - before
		_ = cmd.Process.Kill() // it may just have ended
	})
	line, err := lines.ReadString('\n')
	if !late.Stop() {
		return cell{Peak: <-killed}, nil
	}
	if err != nil {
		return cell{}, fmt.Errorf("%s, %s: %w", h.name, runaway, err)
	}
	var c cell
	return c, json.Unmarshal([]byte(line), &c)
}

var highest = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that a process has had, in KB; 0 where there is no such file.
func peak(pid string) int {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	m := highest.FindSubmatch(status)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1])) // digits
	return n
}

// BenchmarkRunaway is what becomes of guests that do not end, with what each host documents against them: Extism's timeout and
// memory limit; the runtime's WithCloseOnContextDone and memory limit for go-plugin and the shapes; fuel for ours.
func BenchmarkRunaway(b *testing.B) {
	for _, procs := range []int{2, 1} {
		for _, h := range hosts {
			for _, r := range runaways {
				var c *cell
				b.Run(fmt.Sprintf("procs=%d/%s/%s", procs, h.name, r.name), func(b *testing.B) {
					b.ReportMetric(0, "ns/op")
					if c == nil { // once is enough, whatever b.N
						got, err := try(b.Context(), &h, r.name, procs, patience)
						if err != nil {
							b.Fatal(err)
						}
						c = &got
					}
					if c.Stopped {
						b.ReportMetric(float64(c.Took.Microseconds())/1000, "ms-held")
					} else {
						b.ReportMetric(patience.Seconds()*1000, "ms-not-stopped")
					}
					fates[procs].set(&h, r.name, c.String())
				})
			}
		}
	}
}

// Ours stops a loop, also with one processor, and that one without limits does not is found out.
func TestRunaway(t *testing.T) {
	ours := &hosts[0]
	c, err := try(t.Context(), ours, "loop", 1, time.Minute)
	if err != nil || !c.Stopped || !strings.Contains(c.Err, "out of fuel") {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = try(t.Context(), &hosts[len(hosts)-1], "loop"+unlimitedCell, 1, 0)
	if err != nil || c.Stopped {
		t.Errorf("without limits: got %+v, %v", c, err)
	}
}

package wasm

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	if cell := os.Getenv(cellEnv); cell != "" {
		if err := runCell(cell); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	for _, t := range []*table{costs, fates[2], fates[1]} {
		t.print()
	}
	if goGuests.dir != "" && os.Getenv(guestsEnv) == "" {
		_ = os.RemoveAll(goGuests.dir) // a folder for temporary files
	}
	os.Exit(code)
}

// What benchmarks have found out, to be printed behind all of them.
var (
	costs = &table{title: "Costs: the fastest of many batches, and allocations", rows: []string{
		"request → next", "request → next, limited", "request + response", "request + response, limited",
		"instance + request", "memory of an instance", "of it the host's",
	}}
	fates = map[int]*table{
		2: {title: "Runaways with two processors: how long they have held theirs"},
		1: {title: "Runaways with one processor"},
	}
)

// A table has a column for every host.
type table struct {
	title string
	mu    sync.Mutex
	rows  []string
	cells map[string]string
}

func (t *table) set(h *host, row, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cells == nil {
		t.cells = make(map[string]string)
	}
	key := row + "\n" + h.name
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	t.cells[key] = text
}

func (t *table) print() {
	if len(t.cells) == 0 {
		return
	}
	fmt.Printf("\n%s\n\n|", t.title)
	for _, h := range hosts {
		fmt.Printf(" | %s", h.name)
	}
	fmt.Printf(" |\n|%s\n", strings.Repeat("---|", len(hosts)+1))
	for _, row := range t.rows {
		fmt.Printf("| %s |", row)
		for _, h := range hosts {
			text := t.cells[row+"\n"+h.name]
			if text == "" {
				text = "–"
			}
			fmt.Printf(" %s |", text)
		}
		fmt.Println()
	}
	fmt.Println()
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/protoo-go/protoo/bench/internal/report"
	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/server"
	"github.com/protoo-go/protoo/bench/internal/session"
	"github.com/protoo-go/protoo/bench/internal/target"
)

// Exit codes.
const (
	exitOK         = 0
	exitRegression = 1
	exitFailed     = 2 // whatever else went wrong
)

// serverCommand is how the program starts itself as the server that is measured.
const serverCommand = "server"

const usage = `Usage:

  bench [flags]                       measure, in about a minute
  bench compare [flags] OLD NEW       compare two reports, exit with 1 on a regression, 2 on failure

`

const explanation = `Ratios of medians, each value first divided by the reference's in its own session, except for times on a path with loss and delay. From and to are an exact
interval by ranks (Mann-Whitney), each of whose ends is wrong in at most 5 of 100 cases, so some lines look worse, or better, by chance. "all" is the geometric mean
over a target's measurements, of which there must be three. REGRESSION is what is past the threshold and not by chance: two sessions that differ by nothing else
have one, anywhere in all that is compared, in at most 5 of 100 cases (a permutation test of the rounds, over all lines together).
`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command := measure
	switch {
	case len(args) == 3 && args[0] == serverCommand:
		signal.Ignore(os.Interrupt) // it ends with its standard input
		command = func(ctx context.Context, args []string, stdout, _ io.Writer) error {
			return server.Run(context.WithoutCancel(ctx), args[0], args[1], stdin, stdout)
		}
		args = args[1:]
	case len(args) > 0 && args[0] == "compare":
		command, args = compare, args[1:]
	}
	err := command(ctx, args, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if !errors.Is(err, errUsage) {
		fmt.Fprintln(stderr, "bench:", err)
	}
	if errors.Is(err, errRegression) {
		return exitRegression
	}
	return exitFailed
}

// errRegression is what compare is for to find.
var errRegression = errors.New("regressions")

// errUsage has been explained already.
var errUsage = errors.New("usage")

// parse reads flags; left is how many other arguments there have to be.
func parse(f *flag.FlagSet, args []string, left int, stderr io.Writer) error {
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if f.NArg() != left {
		fmt.Fprintf(stderr, "bench: %d arguments, expected %d\n", f.NArg(), left)
		f.Usage()
		return errUsage
	}
	return nil
}

func measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := session.Options{Progress: stderr}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.Rounds, "rounds", 3, "how often everything is measured")
	f.DurationVar(&o.Time, "time", 150*time.Millisecond, "how long each measurement takes; some take a multiple of it")
	f.DurationVar(&o.Warmup, "warmup", 50*time.Millisecond, "how long each has to warm up before that")
	f.DurationVar(&o.Noise, "noise", 300*time.Millisecond, "how long the noise of the machine is measured, before and after")
	pin := f.String("pin", "auto", "give the server half of the processors to itself, and the generator the others: on, off, or auto, which is on from four processors on")
	full := f.Bool("full", false, "all combinations of peers, requests in flight and size, and higher rates")
	list := f.Bool("list", false, "list what would be measured")
	pattern := f.String("run", "", "measure only what this regular `expression` matches, of what -list prints")
	rivals := f.String("rivals", "", "measure the servers of others in this `folder`, bench/rivals, beside ours, instead of the usual")
	out := f.String("o", "protoo-bench", "`name` of the files to write, without .json and .html")
	if err := parse(f, args, 0, stderr); err != nil {
		return err
	}
	o.Pin = session.Pin(*pin)
	if o.Pin != session.PinAuto && o.Pin != session.PinOn && o.Pin != session.PinOff {
		return fmt.Errorf("-pin: got %q, expected on, off or auto", *pin)
	}
	if o.Rounds < 1 {
		return fmt.Errorf("-rounds: got %d, expected at least 1", o.Rounds)
	}
	if o.Time <= 0 || o.Warmup < 0 || o.Noise < 0 {
		return fmt.Errorf("-time %v, -warmup %v, -noise %v: expected a time, and not less than none for the others", o.Time, o.Warmup, o.Noise)
	}
	expression, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	scenarios := session.Usual
	if *full {
		scenarios = session.Full
	}
	if *rivals != "" {
		names, clean, err := addRivals(ctx, *rivals, &o)
		if err != nil {
			return err
		}
		defer clean()
		scenarios = session.Beside(names)
	}
	if *pattern != "" {
		if scenarios = session.Select(scenarios, expression); len(scenarios) == 0 {
			return fmt.Errorf("-run %s: matches nothing of what -list prints", *pattern)
		}
	}
	if *list {
		for _, s := range scenarios {
			for _, t := range s.Targets {
				fmt.Fprintf(stdout, "%s: %s: %s\n", s.Group, s.Name, t)
			}
		}
		return nil
	}
	if info, err := os.Stat(filepath.Dir(*out)); err != nil || !info.IsDir() || strings.HasSuffix(*out, "/") {
		return fmt.Errorf("-o %s: expected a file's name, in a folder that exists", *out) // before a minute has been lost
	}
	if o.Program, err = target.Program(serverCommand); err != nil {
		return err
	}
	r := session.Run(ctx, scenarios, o)
	r.Settings.Arguments = args
	return write(r, *out, stdout)
}

// write writes what there is, which after an interrupt is not everything: the files first, because stdout may be a pipe that nobody reads.
func write(r *result.Report, name string, stdout io.Writer) error {
	err := r.Write(name + ".json")
	page, e := os.Create(name + ".html")
	if e == nil {
		e = errors.Join(report.HTML(page, r), page.Close())
	}
	if err := errors.Join(err, e, report.Text(stdout, r)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\nwritten to %s.html and %s.json\n", name, name)
	return err
}

func compare(_ context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	threshold := f.Float64("threshold", 0.1, "how much worse something may become: 0.1 is a tenth")
	gate := f.String("gate", "cpu,memory,to-server,to-client", "comma-separated `metrics` that count as regressions: those, rate, p50, p99")
	if err := parse(f, args, 2, stderr); err != nil {
		return err
	}
	var gated []string
	if *gate != "" {
		gated = strings.Split(*gate, ",")
	}
	for _, name := range gated {
		if !slices.ContainsFunc(result.Compared, func(m result.Metric) bool { return m.Name == name }) {
			return fmt.Errorf("-gate: got %q, expected cpu, memory, to-server, to-client, rate, p50 or p99", name)
		}
	}
	if !(*threshold >= 0) || math.IsInf(*threshold, 1) {
		return fmt.Errorf("-threshold: got %g, expected 0 or more", *threshold)
	}
	before, err := result.Read(f.Arg(0))
	if err != nil {
		return err
	}
	after, err := result.Read(f.Arg(1))
	if err != nil {
		return err
	}
	changes, skipped, err := result.Compare(before, after, gated)
	for _, remark := range skipped {
		fmt.Fprintln(stdout, "skipped:", remark)
	}
	if err != nil {
		return err
	}
	report.Sessions(stdout, before, after)
	fmt.Fprint(stdout, explanation)
	switch min(before.Settings.Rounds, after.Settings.Rounds) {
	case 1, 2:
		fmt.Fprintln(stdout, "With fewer than three rounds in each, nothing can be told from noise, so nothing is a regression.")
	case 3:
		fmt.Fprintln(stdout, "With three rounds, only an \"all\" line can be a regression. A single measurement, such as of memory, takes four in each (-rounds 4).")
	}
	fmt.Fprintln(stdout)
	n, err := report.Changes(stdout, changes, *threshold)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%d %w past %.0f %%", n, errRegression, 100**threshold)
	}
	return nil
}

// addRivals builds the rivals, and returns the names of those that are installed. The caller calls clean.
func addRivals(ctx context.Context, folder string, o *session.Options) (names []string, clean func(), err error) {
	bin, err := target.Build(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	o.Rivals, o.Versions = make(map[string]session.Start), make(map[string]string)
	for i := range target.Rivals {
		r := &target.Rivals[i]
		if !r.Installed(folder) {
			o.Notes = append(o.Notes, fmt.Sprintf("not installed, so not measured: %s (make -C %s npm)", r.Name, folder))
			continue
		}
		o.Rivals[r.Name] = func(ctx context.Context, _ string, o target.Options) (*target.Server, error) {
			return r.Start(ctx, folder, bin, o)
		}
		names = append(names, r.Name)
		maps.Copy(o.Versions, r.Versions(ctx, folder, bin))
		o.Targets = append(o.Targets, result.Target{Name: r.Name, About: r.Settings})
	}
	return names, func() { _ = os.RemoveAll(bin) }, nil
}

package config

import (
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protoo-go/protoo/core"
)

// value is a field of a Config, or of something below it, as text.
type value struct {
	kind    string                    // one word
	expects string                    // continues "expected"
	parse   func(text string) bool    // assigns the field, or reports that text cannot be its value
	show    func() string             // the inverse of parse
	isPath  bool                      // of a file, relative to the directory of the file that names it
	dynamic bool                      // a file that a reload may begin or cease to use
	setList func(texts []string) bool // nil if it is not a list
	list    func() []string
	setNode func(n *node, r *reader, key string) // nil unless it is a structure, which only a file can have
}

const kindSwitch = "bool"

func text(field *string, standard, expects string) value {
	*field = standard
	return value{
		kind:    "text",
		expects: expects,
		parse:   func(s string) bool { *field = s; return printable(s) },
		show:    func() string { return *field },
	}
}

// printable tells whether text is one line that can be written and read again.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == '\ufffd' || !strconv.IsPrint(r) })
}

func file(field *string, expects string) value {
	v := text(field, "", expects)
	v.kind, v.isPath = "file", true
	return v
}

func checked(v value, valid func(string) bool) value {
	parse := v.parse
	v.parse = func(s string) bool { return valid(s) && parse(s) }
	return v
}

func toggle(field *bool, standard bool) value {
	*field = standard
	return value{
		kind:    kindSwitch,
		expects: "true or false",
		parse: func(s string) bool {
			*field = s == "true"
			return *field || s == "false"
		},
		show: func() string { return strconv.FormatBool(*field) },
	}
}

// choice has the first of its options as its default.
func choice(field *string, options ...string) value {
	*field = options[0]
	expects := strings.Join(options[:len(options)-1], ", ") + " or " + options[len(options)-1]
	if len(options) == 1 {
		expects = options[0]
	}
	return value{
		kind:    "name",
		expects: expects,
		parse:   func(s string) bool { *field = s; return slices.Contains(options, s) },
		show:    func() string { return *field },
	}
}

func number(field *int, standard, least, most int) value {
	*field = standard
	return value{
		kind:    "number",
		expects: "a whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most),
		parse: func(s string) bool {
			n, err := strconv.Atoi(s)
			*field = n
			return err == nil && n >= least && n <= most
		},
		show: func() string { return strconv.Itoa(*field) },
	}
}

const unlimited = "unlimited"

// limit is a number of at least 1, or none at all, which the field says as none does.
func limit(field *int, standard, none int) value {
	*field = standard
	return value{
		kind:    "limit",
		expects: "a whole number from 1 to " + strconv.Itoa(math.MaxInt32) + ", or " + unlimited,
		parse: func(s string) bool {
			if s == unlimited {
				*field = none
				return true
			}
			n, err := strconv.Atoi(s)
			*field = n
			return err == nil && n >= 1 && n <= math.MaxInt32
		},
		show: func() string {
			if *field == none {
				return unlimited
			}
			return strconv.Itoa(*field)
		},
	}
}

// size is a number of bytes.
func size(field *int, standard, least, most int) value {
	*field = standard
	return value{
		kind:    "size",
		expects: "a size from " + formatSize(least) + " to " + formatSize(most) + ", such as 65536, 64KiB or 1MiB",
		parse: func(s string) bool {
			n, ok := parseSize(s)
			*field = n
			return ok && n >= least && n <= most
		},
		show: func() string { return formatSize(*field) },
	}
}

var sizeUnits = []struct {
	name  string
	bytes int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func parseSize(s string) (int, bool) {
	unit := 1
	for _, u := range sizeUnits {
		if digits, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSuffix(digits, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n > uint64(math.MaxInt32/unit) {
		return 0, false
	}
	return int(n) * unit, true
}

func formatSize(n int) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.Itoa(n/u.bytes) + u.name
		}
	}
	return strconv.Itoa(n)
}

// maxDuration is more than anybody waits for, and far from an overflow.
const maxDuration = 365 * 24 * time.Hour

func duration(field *time.Duration, standard, least time.Duration) value {
	*field = standard
	return value{
		kind:    "duration",
		expects: "a duration from " + formatDuration(least) + " to a year, such as 500ms, 30s or 1h30m",
		parse: func(s string) bool {
			d, err := time.ParseDuration(s)
			*field = d
			return err == nil && d >= least && d <= maxDuration
		},
		show: func() string { return formatDuration(*field) },
	}
}

// formatDuration leaves out the units that are zero: 2m for 2m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const off = "off"

// address is where to listen; off is "".
func address(field *string, standard string) value {
	*field = standard
	return value{
		kind:    "host:port",
		expects: "host:port, such as 127.0.0.1:8080 or :443, or " + off,
		parse: func(s string) bool {
			*field = s
			if s == off {
				*field = ""
				return true
			}
			host, port, err := net.SplitHostPort(s)
			_, badPort := strconv.ParseUint(port, 10, 16)
			return err == nil && badPort == nil && printable(host)
		},
		show: func() string {
			if *field == "" {
				return off
			}
			return *field
		},
	}
}

// list is a list of texts, without standard values. Outside of a file they are separated by commas.
func list(field *[]string, expects string, valid func(string) bool) value {
	set := func(texts []string) bool {
		*field = texts
		return !slices.ContainsFunc(texts, func(s string) bool { return s == "" || !printable(s) || strings.Contains(s, ",") || !valid(s) })
	}
	return value{
		kind:    "list",
		expects: expects,
		parse: func(s string) bool {
			var texts []string
			for t := range strings.SplitSeq(s, ",") {
				texts = append(texts, strings.TrimSpace(t))
			}
			if s == "" {
				texts = nil
			}
			return set(texts)
		},
		show:    func() string { return strings.Join(*field, ",") },
		setList: set,
		list:    func() []string { return *field },
	}
}

// pattern is a path as the router reads it.
func pattern(field *string, standard string, params ...string) value {
	expects := "a path such as " + standard
	if len(params) > 0 {
		expects += " with " + strings.Join(params, " and ")
	}
	return checked(text(field, standard, expects), func(s string) bool {
		for _, p := range params {
			if !strings.Contains(s, p) {
				return false
			}
		}
		return strings.HasPrefix(s, "/") && compiles(s)
	})
}

func compiles(path string) (ok bool) {
	defer func() {
		if recover() != nil { // a malformed path is a panic there
			ok = false
		}
	}()
	core.New(core.Options{}).Use(path, func(*core.Request, core.Next) error { return nil })
	return true
}

package spelling

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"serve", "call", "version", "help", "log-level"}
	for name, want := range map[string]string{
		"serve": "serve", "sreve": "serve", "sever": "serve", "server": "serve", "serves": "serve",
		"cal": "call", "clal": "call", "versio": "version", "vresion": "version", "loglevel": "log-level",
		"hlep": "help", "x": "", "": "", "completely": "", "ca": "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) is %q, want %q", name, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ä", "a", 1}, {"ab", "ba", 1}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

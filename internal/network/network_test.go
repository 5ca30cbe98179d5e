package network

import "testing"

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		remote string
		prefix int
		want   string
	}{
		{"192.0.2.1:5678", 64, "192.0.2.1"},
		{"192.0.2.1", 1, "192.0.2.1"},
		{"[::ffff:192.0.2.1]:5678", 64, "192.0.2.1"},
		{"[2001:db8:1:2:3::4]:5678", 64, "2001:db8:1:2::"},
		{"[2001:db8:1:2:3::4]:5678", 48, "2001:db8:1::"},
		{"2001:db8:1:2:3::4", 128, "2001:db8:1:2:3::4"},
		{"[fe80::1%eth0]:5678", 64, "fe80::"},
		{"@", 64, "invalid IP"},
		{"", 64, "invalid IP"},
		{"192.0.2.1, 192.0.2.2", 64, "invalid IP"},
	} {
		if got := Of(tt.remote, tt.prefix).String(); got != tt.want {
			t.Errorf("%q/%d: got %s, want %s", tt.remote, tt.prefix, got, tt.want)
		}
	}
}

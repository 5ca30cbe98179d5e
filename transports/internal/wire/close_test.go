package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

func TestParseClose(t *testing.T) {
	tests := []struct {
		payload string
		code    int
		reason  string
		breach  int
	}{
		{"", core.CloseNoStatus, "", 0},
		{"\x03\xe8", 1000, "", 0},
		{"\x0b\xb8online elsewhere", 3000, "online elsewhere", 0},
		{"\x13\x87\xe6\x97\xa5", 4999, "日", 0},
		{"\x03", 0, "", 1002},
		{"\x03\xed", 0, "", 1002}, // 1005
		{"\x03\xee", 0, "", 1002}, // 1006
		{"\x00\x00", 0, "", 1002},
		{"\x13\x88", 0, "", 1002}, // 5000
		{"\x03\xe8\xff", 0, "", 1007},
	}
	for _, tt := range tests {
		code, reason, err := ParseClose([]byte(tt.payload))
		got := 0
		if err != nil {
			got, _ = CloseOf(err)
		}
		if code != tt.code || reason != tt.reason || got != tt.breach {
			t.Errorf("%q: got %d %q, error %v", tt.payload, code, reason, err)
		}
		var memory [MaxControl]byte
		if payload := ClosePayload(&memory, code, reason); err == nil && string(payload) != tt.payload {
			t.Errorf("%q is encoded as %q", tt.payload, payload)
		}
	}
}

func TestClosePayloadFits(t *testing.T) {
	var memory [MaxControl]byte
	payload := ClosePayload(&memory, core.CloseNormal, strings.Repeat("a", 1000))
	if want := append([]byte{0x03, 0xe8}, bytes.Repeat([]byte("a"), MaxControl-2)...); !bytes.Equal(payload, want) {
		t.Errorf("got %q", payload)
	}
}

func TestClosePayloadCutsBetweenCharacters(t *testing.T) {
	for _, prefix := range []string{"", "a", "ab", "abc"} {
		var memory [MaxControl]byte
		reason := prefix + strings.Repeat("日", 100)
		_, got, err := ParseClose(ClosePayload(&memory, core.CloseNormal, reason))
		if err != nil || !strings.HasPrefix(reason, got) || len(got) < MaxControl-2-2 {
			t.Errorf("got %q, error %v", got, err)
		}
	}
}

func TestCloseCode(t *testing.T) {
	for asked, want := range map[int]int{0: core.CloseNoStatus, core.CloseNoStatus: core.CloseNoStatus, 1000: 1000, 4999: 4999} {
		if got, err := CloseCode(asked); got != want || err != nil {
			t.Errorf("%d: got %d, error %v", asked, got, err)
		}
	}
	for _, code := range []int{-1, 999, core.CloseAbnormal, 1015, 5000, 65536 + 1000} {
		if _, err := CloseCode(code); err == nil {
			t.Errorf("%d may be sent", code)
		}
	}
}

func TestCloseOfAnother(t *testing.T) {
	if code, reason := CloseOf(errors.New("secret")); code != core.CloseInternalError || reason != "internal error" {
		t.Errorf("got %d %q", code, reason)
	}
}

func FuzzParseClose(f *testing.F) {
	f.Add([]byte("\x03\xe8bye"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		code, reason, err := ParseClose(payload)
		var memory [MaxControl]byte
		if err == nil && len(payload) <= MaxControl && !bytes.Equal(ClosePayload(&memory, code, reason), payload) {
			t.Errorf("%q became %d %q", payload, code, reason)
		}
	})
}

func TestBufferCompact(t *testing.T) {
	b := GetBuffer()
	defer b.Put()
	_, _ = b.Write([]byte("abcdef"))
	if done := b.Compact(3); done != 3 || string(b.B) != "abcdef" {
		t.Errorf("half: %d, %q", done, b.B)
	}
	if done := b.Compact(4); done != 0 || string(b.B) != "ef" {
		t.Errorf("more than half: %d, %q", done, b.B)
	}
}

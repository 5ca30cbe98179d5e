package load

import (
	"strings"
	"testing"
	"time"
)

func TestForm(t *testing.T) {
	f := newForm(Protoo.Response, 20)
	const want = `{"status":200,"reason":"OK","id":"1000000007","data":{"type":"text","text":"1000000007the quick "}}`
	if got := string(f.fill(1_000_000_007)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, tt := range []struct {
		name string
		msg  string
		id   int64
	}{
		{"the same", want, 1_000_000_007},
		{"another number", strings.ReplaceAll(want, "1000000007", "1234567890"), 1_234_567_890},
		{"another number in the data", strings.Replace(want, `"1000000007t`, `"1000000008t`, 1), 0},
		{"another id", strings.Replace(want, "1000000007", "1000000008", 1), 0},
		{"no number", strings.ReplaceAll(want, "1000000007", "100000000x"), 0},
		{"another text", strings.Replace(want, "quick", "quack", 1), 0},
		{"another status", strings.Replace(want, "200", "201", 1), 0},
		{"too short", want[:len(want)-1], 0},
		{"too long", want + " ", 0},
		{"empty", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := f.match([]byte(tt.msg))
			if id != tt.id || (err == nil) != (tt.id != 0) {
				t.Errorf("got %d and %v, want %d", id, err, tt.id)
			}
		})
	}
}

func TestDelivery(t *testing.T) {
	d := newDelivery("everybody", 12)
	for msg, want := range map[string]string{
		`{"method":"message","path":"/users/everybody","id":42,"data":{"type":"text","text":"1000000000th"},"sender":{"username":"sender","uuid":"d"}}`: "42",
		`{"method":"message","path":"/users/everybody","id":42,"data":{"type":"text","text":"1000000000xx"},"sender":{"username":"sender","uuid":"d"}}`: "",
		`{"method":"message","path":"/users/everybody","id":42}`: "",
		`{"method":"message"`: "",
	} {
		if _, id, err := d.match([]byte(msg)); id != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q and %v, want %q", msg, id, err, want)
		}
	}
}

// nowhere is a connection whose messages nobody gets.
type nowhere struct{ Conn }

func (nowhere) Send([]byte) error { return nil }

func TestCaller(t *testing.T) {
	c := newCaller(0, firstID, nowhere{}, Protoo.Request, Protoo.Response, 10, 2)
	for i, want := range []bool{true, true, false} {
		if ok, err := c.send(time.Duration(i), time.Duration(i)); ok != want || err != nil {
			t.Errorf("request %d: got %v, %v", i, ok, err)
		}
	}
	answer := newForm(Protoo.Response, 10)
	if intended, _, err := c.answered(answer.fill(firstID + 1)); intended != 1 || err != nil {
		t.Errorf("got %v, %v", intended, err)
	}
	for _, id := range []int64{firstID + 1, firstID + 2, 0} {
		if _, _, err := c.answered(answer.fill(id)); err == nil {
			t.Errorf("an answer to %d, which nobody asked, was taken", id)
		}
	}
	c.lossy = true
	c.next = firstID + 2
	if ok, _ := c.send(2, lostAfter); !ok {
		t.Error("a lost request takes the place of another")
	}
}

package core

import (
	"strings"
	"testing"
)

const (
	trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	child = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
)

func TestTraceIsForwarded(t *testing.T) {
	app := New(Options{})
	to := dial(t, app, "bob", "1")
	app.Message("/same", func(req *Request, _ Next) error {
		if got := req.TraceParent(); got != trace {
			t.Errorf("the handler sees %q", got)
		}
		Forward(req, to.peer())
		return nil
	})
	app.Message("/child", func(req *Request, _ Next) error {
		if err := req.SetTraceParent(child); err != nil {
			t.Error(err)
		}
		Forward(req, to.peer())
		return nil
	})
	app.Message("/none", func(req *Request, _ Next) error {
		if err := req.SetTraceParent(""); err != nil {
			t.Error(err)
		}
		Forward(req, to.peer())
		return nil
	})
	from := dial(t, app, "alice", "1")
	const sender = `"sender":{"username":"alice","uuid":"1"}`
	for path, want := range map[string]string{
		"/same":  `{"method":"message","path":"/same","id":1,` + sender + `,"traceparent":"` + trace + `"}`,
		"/child": `{"method":"message","path":"/child","id":1,` + sender + `,"traceparent":"` + child + `"}`,
		"/none":  `{"method":"message","path":"/none","id":1,` + sender + `}`,
	} {
		from.receive(`{"method":"message","path":"` + path + `","id":1,"traceparent":"` + trace + `"}`)
		to.want(t, want)
		to.receive(`{"status":200,"reason":"ok","id":1,"traceparent":"` + trace + `"}`)
		from.want(t, `{"status":200,"reason":"ok","id":1}`)
	}
	req := NewRequest("message", "/", nil)
	if err := req.SetTraceParent(trace); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Broadcast("bob", "", req); err != nil {
		t.Fatal(err)
	}
	if got := to.take(); len(got) != 1 || !strings.HasSuffix(got[0], `,"traceparent":"`+trace+`"}`) {
		t.Errorf("broadcast %q", got)
	}
}

func TestTraceParent(t *testing.T) {
	for _, bad := range []string{
		trace[:54],
		trace + "0",
		strings.ToUpper(trace),
		"01" + trace[2:],
		"ff" + trace[2:],
		strings.Replace(trace, "-b", "_b", 1),
		strings.Replace(trace, "-0a", "_0a", 1),
		strings.Replace(trace, "-01", "_01", 1),
		strings.Replace(trace, "0af7", "0ag7", 1),
		strings.Replace(trace, "-01", "-0g", 1),
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
	} {
		req := NewRequest("message", "/", nil)
		if err := req.SetTraceParent(bad); err == nil || req.TraceParent() != "" {
			t.Errorf("%q is taken: %v", bad, err)
		}
	}
}

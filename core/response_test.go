package core

import "testing"

func TestResponse(t *testing.T) {
	for _, tt := range []struct {
		status                      int
		provisional, accept, reject bool
	}{
		{100, true, false, false},
		{199, true, false, false},
		{200, false, true, false},
		{299, false, true, false},
		{300, false, false, true},
		{404, false, false, true},
		{699, false, false, true},
	} {
		res := &Response{status: tt.status}
		if res.Status() != tt.status || res.IsProvisional() != tt.provisional || res.IsAccept() != tt.accept || res.IsReject() != tt.reject {
			t.Errorf("%d: got provisional %v, accept %v, reject %v", res.Status(), res.IsProvisional(), res.IsAccept(), res.IsReject())
		}
	}
}

func TestResponseData(t *testing.T) {
	res := &Response{id: `"\u0061"`, reason: "ok", data: `{"n": 1}`}
	if res.ID() != "a" || res.Reason() != "ok" || res.Data() != `{"n": 1}` || res.IsLocal() || res.Peer() != nil {
		t.Errorf("got %+v", res)
	}
	var v struct{ N int }
	if err := res.Bind(&v); err != nil || v.N != 1 {
		t.Errorf("Bind: got %+v, %v", v, err)
	}
	if err := res.SetData(func() {}); err == nil || res.Data() != `{"n": 1}` {
		t.Errorf("SetData with a function: got %v, data %s", err, res.Data())
	}
	if err := res.SetData([]int{2}); err != nil || res.Data() != `[2]` {
		t.Errorf("SetData: got %v, data %s", err, res.Data())
	}
	if err := res.SetData(nil); err != nil || res.Data() != "" {
		t.Errorf("SetData(nil): got %v, data %s", err, res.Data())
	}
	if err := res.Bind(&v); err == nil {
		t.Error("Bind without data: no error")
	}
}

// Watchers and the functions of OnResponse are called in one order, each sees what the later ones have made of the response, and
// what a function has kept stays as it was.
func TestWatch(t *testing.T) {
	j := &journal{}
	app := New(Options{})
	watch := func(name string) *ResponseWatcher {
		return NewResponseWatcher(func(req *Request, res *Response) {
			if res.Peer() != req.Peer() || res.ID() != req.ID() {
				t.Errorf("%v got a response to %s of %v", req, res.ID(), res.Peer())
			}
			j.add("%s(%d %s)", name, res.Status(), res.Data())
			if err := res.SetData(name); err != nil {
				t.Error(err)
			}
		})
	}
	first, third := watch("#1"), watch("#3")
	var kept []*Response
	app.Message("/watched", func(req *Request, next Next) error {
		req.Watch(first)
		next()
		return nil
	})
	app.Message("/both", func(req *Request, next Next) error {
		req.Watch(first)
		req.OnResponse(func(res *Response) {
			j.add("#2(%d %s)", res.Status(), res.Data())
			kept = append(kept, res)
		})
		req.Watch(third)
		next()
		return nil
	})
	app.Use("/", func(req *Request, _ Next) error {
		if err := req.Reply(100, ""); err != nil {
			return err
		}
		return req.Reply(200, "")
	})
	a := j.record(t, app)
	watched := `#1(100 ), 100  "#1", #1(200 ), 200  "#1"`
	both := `#3(100 ), #2(100 "#3"), #1(100 "#3"), 100  "#1", #3(200 ), #2(200 "#3"), #1(200 "#3"), 200  "#1"`
	for _, test := range []struct{ path, want string }{{"/watched", watched}, {"/both", both}, {"/watched", watched}, {"/both", both}} {
		a.ask("message", test.path)
		expect(t, j, test.want)
	}
	for i, res := range kept {
		if want := []int{100, 200}[i%2]; res.Status() != want || res.Data() != `"#1"` {
			t.Errorf("the kept response %d became %d %s", i, res.Status(), res.Data())
		}
	}
}

func TestWatchPanics(t *testing.T) {
	j := &journal{}
	app := New(Options{})
	bad := NewResponseWatcher(func(*Request, *Response) { panic("in a watcher") })
	app.Message("/", func(req *Request, _ Next) error {
		req.Watch(bad)
		return req.Reply(200, "ok")
	})
	j.record(t, app).ask("message", "/")
	expect(t, j, "!panic: in a watcher, 200 ok")
}

func TestWatchAllocatesNothing(t *testing.T) {
	with := func(handler Handler) float64 {
		app := New(Options{})
		app.Message("/", handler)
		dispatch, _ := dispatcher(t, app, "/")
		return testing.AllocsPerRun(1000, dispatch)
	}
	statuses := 0
	w := NewResponseWatcher(func(_ *Request, res *Response) { statuses += res.Status() })
	unwatched := with(func(req *Request, _ Next) error { return req.Reply(200, "") })
	watched := with(func(req *Request, _ Next) error {
		req.Watch(w)
		return req.Reply(200, "")
	})
	if watched > unwatched+raceAllocs {
		t.Errorf("a watched request takes %v allocations, others %v", watched, unwatched)
	}
	if statuses != 1001*200 {
		t.Errorf("the watcher saw a sum of %d, want 1001 times 200", statuses)
	}
}

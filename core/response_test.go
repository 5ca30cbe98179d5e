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

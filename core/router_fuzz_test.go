package core

import "testing"

// FuzzRouter lets the fuzzer choose an application, byte by byte, and a path. Core must treat the
// request as the naive implementation does.
func FuzzRouter(f *testing.F) {
	f.Add([]byte{}, "/")
	f.Add([]byte("\x00\x00\x00\x01\x02\x05\x03\x04\x06\x06\x01\x0a\x00\x01\x07\x02"), "/a/b")
	f.Add([]byte("a stack is read from the top to the bottom, and so is this text"), "/a/%zz")
	f.Add([]byte("\x03\x03\x03\x05\x05\x01\x02\x02\x1c\x05\x05\x06\x01\x06\x02\x06\x03\x06\x04"), "//a//%61/")
	f.Fuzz(func(t *testing.T, plan []byte, path string) {
		if validPath(path) != nil || len(path) > 256 || len(plan) > 512 {
			return
		}
		choose := func(n int) int {
			if len(plan) == 0 {
				return 0
			}
			b := int(plan[0])
			plan = plan[1:]
			return b % n
		}
		e := &experiment{newAppPlan(choose), []question{{pick(choose, planMethods), path}}}
		if difference := e.check(t); difference != "" {
			t.Error(difference)
		}
	})
}

package wasmhost_test

import (
	"context"
	"fmt"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
	"github.com/protoo-go/protoo/wasmhost"
)

// hello is a module that logs a line and answers every request. In the text format it is
//
//	(module
//	  (import "protoo_v1" "log" (func $log (param i32 i32 i32)))
//	  (memory (export "memory") 1)
//	  (data (i32.const 0) "…")                        ;; a frame of 44 bytes with one field
//	  (func (export "protoo_abi_v1"))
//	  (func (export "protoo_init") (param i32) (result i64)
//	    (i64.const 0x0000040000002000))               ;; the buffer: 8192 bytes at 1024
//	  (func (export "protoo_on") (param i32 i32) (result i64)
//	    (call $log (i32.const 1) (i32.const 24) (i32.const 5))
//	    (memory.copy (i32.const 1024) (i32.const 0) (i32.const 44))
//	    (i64.const 0x0000002c00000002)))              ;; reply, with the 44 bytes in the buffer
const hello = "\x00asm\x01\x00\x00\x00" +
	"\x01\x15\x04\x60\x03\x7f\x7f\x7f\x00\x60\x00\x00\x60\x01\x7f\x01\x7e\x60\x02\x7f\x7f\x01\x7e" + // types
	"\x02\x11\x01\x09protoo_v1\x03log\x00\x00" + // imports
	"\x03\x04\x03\x01\x02\x03" + // functions
	"\x05\x03\x01\x00\x01" + // memory
	"\x07\x34\x04\x06memory\x02\x00\x0dprotoo_abi_v1\x00\x01\x0bprotoo_init\x00\x02\x09protoo_on\x00\x03" + // exports
	"\x0a\x2c\x03\x02\x00\x0b" + // code
	"\x0a\x00\x42\x80\xc0\x80\x80\x80\x80\x01\x0b" +
	"\x1c\x00\x41\x01\x41\x18\x41\x05\x10\x00\x41\x80\x08\x41\x00\x41\x2c\xfc\x0a\x00\x00\x42\x82\x80\x80\x80\xc0\x05\x0b" +
	"\x0b\x32\x01\x00\x41\x00\x0b" + // data
	"\x2c\x2c\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x0b\x00\x00\x00\x13\x00\x00\x00hello from a module\x00"

func Example() {
	ctx := context.Background()
	host, err := wasmhost.New(wasmhost.Options{
		OnLog: func(e wasmhost.LogEntry) { fmt.Printf("%s logs %q\n", e.Module, e.Text) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = host.Close() }()

	// The tools for modules write the manifest into the file; here it is given apart.
	options := wasmhost.ModuleOptions{Manifest: &wasmhost.Manifest{
		Name: "greeter", Version: "1",
		Events:       []string{wasmhost.EventRequest.String()},
		Capabilities: []wasmhost.Capability{wasmhost.Log},
	}}
	_, err = host.Load(ctx, []byte(hello), options)
	fmt.Println(err)

	options.Grants = []wasmhost.Capability{wasmhost.Log}
	module, err := host.Load(ctx, []byte(hello), options)
	if err != nil {
		fmt.Println(err)
		return
	}
	app := core.New(core.Options{})
	app.Use("/greetings", module.Handle)
	transport := memory.New(app, func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: "alice", UUID: "phone"}, nil
	}, memory.Options{})
	app.Attach(transport)
	defer func() { _ = app.Close(true) }()

	conn, err := transport.Dial(ctx, core.ConnectRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = conn.Send([]byte(`{"method":"message","path":"/greetings","id":"1"}`))
	response, _ := conn.Receive(ctx)
	fmt.Printf("%s\n", response)
	fmt.Println(module.Stats().Events["request"], "request")
	// Output:
	// module greeter 1: load: it asks for log, which is not granted
	// greeter logs "hello"
	// {"status":200,"reason":"hello from a module","id":"1"}
	// 1 request
}

// Package wasmhost runs WebAssembly modules as middleware.
//
//	host, err := wasmhost.New(wasmhost.Options{})
//	module, err := host.Load(ctx, file, wasmhost.ModuleOptions{
//		App:    app,
//		Grants: []wasmhost.Capability{wasmhost.KV},
//	})
//	app.Use("/rooms/:room", module.Handle)
//	server := websocket.New(app, module.Accept(accept), websocket.Options{})
//
// A module sees a request, and may change it, answer it, pass it on, fail it, or keep it and say later what happens
// to it. It may watch the responses and decide who connects. Beyond that it can do what it asks for in its manifest and
// the operator grants, see [Capability].
//
// # Safety
//
// A module reads and writes its own memory and nothing else. What it can take of the processor is limited by fuel, which is
// counted by code that is added to it when it is loaded (package meter); every other use has a bound in [Limits]. When it
// fails, the instance that failed is closed, the request fails with 500, or goes on as if the module were not there
// ([OnError]), and after several failures in a row the module is left alone for a while.
//
// # Modules
//
// ABI.md in this folder says what a module has to export and can import. The packages under guest
// are for those who write one.
package wasmhost

package wasm

import (
	"context"
	"fmt"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
)

type extismModule struct{ plugin *extism.CompiledPlugin }

// loadExtism bounds time and memory by the manifest, which is what Extism documents.
func loadExtism(o options) (loaded, error) {
	manifest := extism.Manifest{
		Wasm:    []extism.Wasm{extism.WasmData{Data: extismGuest(o.variant())}},
		Memory:  &extism.ManifestMemory{MaxPages: memoryPages, MaxHttpResponseBytes: -1, MaxVarBytes: -1},
		Timeout: uint64(o.limit.Milliseconds()),
	}
	p, err := extism.NewCompiledPlugin(context.Background(), manifest, extism.PluginConfig{}, nil)
	return extismModule{p}, err
}

func (m extismModule) instance(ctx context.Context) (subject, error) {
	p, err := m.plugin.Instance(ctx, extism.PluginInstanceConfig{ModuleConfig: wazero.NewModuleConfig()})
	return &extismInstance{plugin: p}, err
}

func (m extismModule) close() error { return m.plugin.Close(context.Background()) }

type extismInstance struct {
	plugin *extism.Plugin
	frame  []byte
}

func (s *extismInstance) request(r *request) error {
	s.frame = r.appendFrame(s.frame)
	code, out, err := s.plugin.Call("on_request", s.frame)
	if err != nil || code != 0 {
		return fmt.Errorf("code %d: %w", code, err)
	}
	r.goesOn(out)
	return nil
}

func (s *extismInstance) response(status int) error {
	_, _, err := s.plugin.Call("on_response", []byte{byte(status), byte(status >> 8), 0, 0, 0, 0, 0, 0})
	return err
}

func (s *extismInstance) close() error { return s.plugin.Close(context.Background()) }

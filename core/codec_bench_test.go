package core

import (
	"encoding/json"
	"testing"
)

// Messages of usual size and shape; the request has about 300 bytes.
const (
	benchRequest  = `{"method":"message","path":"/users/alice/9f1c2a7e-5b1d-4d0c-9a55-0c9f3b3f8b11","id":"jhk3ghj9sd","data":{"type":"text","text":"Hi Alice! Are you still coming to the meeting at five o'clock? The others have asked.","thread":4711,"mentions":["bob","carol"],"sent":"2026-05-04T16:20:11.204Z","urgent":false}}`
	benchResponse = `{"status":200,"reason":"message sent to 2 peers","id":"jhk3ghj9sd","data":{"delivered":["9f1c2a7e","5b1d4d0c"],"at":1777911611204}}`
)

// wireMessage is a message as one would declare it for encoding/json.
type wireMessage struct {
	Method string          `json:"method,omitempty"`
	Path   string          `json:"path,omitempty"`
	Status int             `json:"status,omitempty"`
	Reason string          `json:"reason,omitempty"`
	ID     json.RawMessage `json:"id"`
	Data   json.RawMessage `json:"data,omitempty"`
	Sender json.RawMessage `json:"sender,omitempty"`
}

func BenchmarkParseRequest(b *testing.B)  { benchmarkParse(b, benchRequest) }
func BenchmarkParseResponse(b *testing.B) { benchmarkParse(b, benchResponse) }

func benchmarkParse(b *testing.B, text string) {
	raw := []byte(text)
	b.Run("core", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(raw)))
		var m message
		for b.Loop() {
			if err := parseMessage(raw, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			var m wireMessage
			if err := json.Unmarshal(raw, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendRequest(b *testing.B)  { benchmarkAppend(b, benchRequest) }
func BenchmarkAppendResponse(b *testing.B) { benchmarkAppend(b, benchResponse) }

func benchmarkAppend(b *testing.B, text string) {
	var m message
	if err := parseMessage([]byte(text), &m); err != nil {
		b.Fatal(err)
	}
	m.sender = `{"username":"bob","uuid":"1b4e28ba"}`
	b.Run("core", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 1024)
		for b.Loop() {
			if m.method != "" {
				buf = appendRequest(buf[:0], m.method, m.path, m.id, m.data, m.sender)
			} else {
				buf = appendResponse(buf[:0], m.status, m.reason, m.id, m.data)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w := wireMessage{
				Method: m.method, Path: m.path, Status: m.status, Reason: m.reason,
				ID: json.RawMessage(m.id), Data: json.RawMessage(m.data),
			}
			if m.method != "" {
				w.Sender = json.RawMessage(m.sender)
			}
			if _, err := json.Marshal(w); err != nil {
				b.Fatal(err)
			}
		}
	})
}

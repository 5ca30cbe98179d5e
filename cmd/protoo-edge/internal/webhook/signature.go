// Package webhook tells other servers what happens in this one, and asks them what to answer, over HTTP. What it
// sends is signed as Standard Webhooks has it (https://www.standardwebhooks.com).
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Header fields of Standard Webhooks.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// secretPrefix begins a symmetric secret, which is why one is recognized wherever it turns up.
const secretPrefix = "whsec_"

// Bounds of a secret, in bytes, and of how many there are at a time.
const (
	minSecret  = 24
	maxSecret  = 64
	MaxSecrets = 4
)

// errSecret never repeats the text that it is about.
var errSecret = errors.New("a secret is whsec_ followed by " + strconv.Itoa(minSecret) + " to " + strconv.Itoa(maxSecret) + " bytes in base64")

// ValidSecret tells whether text is a secret that a [Signer] takes.
func ValidSecret(text string) bool {
	_, err := parseSecret(text)
	return err == nil
}

func parseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, errSecret
	}
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(secret) < minSecret || len(secret) > maxSecret {
		return nil, errSecret
	}
	return secret, nil
}

// A Signer signs with one or several secrets: a receiver that knows any of them accepts the call, so that secrets can
// be replaced one side at a time. Any goroutine may use it.
type Signer struct {
	secrets atomic.Pointer[[][]byte]
}

// NewSigner returns a signer with these secrets. Without any it signs nothing.
func NewSigner(secrets []string) (*Signer, error) {
	s := new(Signer)
	return s, s.SetSecrets(secrets)
}

// SetSecrets replaces the secrets, for every call from now on. If one of them is not valid nothing changes.
func (s *Signer) SetSecrets(texts []string) error {
	if len(texts) > MaxSecrets {
		return fmt.Errorf("%d secrets, at most %d are in use at a time", len(texts), MaxSecrets)
	}
	secrets := make([][]byte, len(texts))
	for i, text := range texts {
		var err error
		if secrets[i], err = parseSecret(text); err != nil {
			return err
		}
	}
	s.secrets.Store(&secrets)
	return nil
}

// Sign sets the header fields that say which message a body is, when it was sent and that we did it. The id stays the
// same when a message is sent again, which is how a receiver knows that it has it already.
func (s *Signer) Sign(h http.Header, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, timestamp)
	var signatures []string
	for _, secret := range *s.secrets.Load() {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if len(signatures) > 0 {
		h.Set(HeaderSignature, strings.Join(signatures, " "))
	}
}

// NewID returns an id for a message that nobody can guess.
func NewID() string { return "msg_" + rand.Text() }

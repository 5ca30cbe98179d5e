package wasmhost

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/protoo-go/protoo/wasmhost/meter"
)

// Sign returns the module with an Ed25519 signature of all that it has, in a custom section that has to stay the last.
func Sign(module []byte, key ed25519.PrivateKey) []byte {
	return appendSection(module, signatureSection, ed25519.Sign(key, module))
}

// verifyDigest compares the module with a pin, the hexadecimal SHA-256 of the file, if there is one.
func verifyDigest(module []byte, pin string) error {
	if pin == "" {
		return nil
	}
	sum := sha256.Sum256(module)
	if got := hex.EncodeToString(sum[:]); got != strings.ToLower(pin) {
		return fmt.Errorf("sha256 is %s, want %s", got, pin)
	}
	return nil
}

var errNotSigned = errors.New("it is not signed: the last section must be " + signatureSection)

// verifySignature checks that one of the keys has signed the module, if there are keys.
func verifySignature(module []byte, custom []meter.Custom, keys []ed25519.PublicKey) error {
	if len(keys) == 0 {
		return nil
	}
	if len(custom) == 0 {
		return errNotSigned
	}
	last := custom[len(custom)-1]
	if last.Name != signatureSection || len(last.Data) != ed25519.SignatureSize {
		return errNotSigned
	}
	signed := module[:last.Offset]
	if string(appendSection(signed, signatureSection, last.Data)) != string(module) {
		return errNotSigned // something follows it
	}
	for _, key := range keys {
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("a public key has %d bytes, want %d", len(key), ed25519.PublicKeySize)
		}
		if ed25519.Verify(key, signed, last.Data) {
			return nil
		}
	}
	return errors.New("none of the keys has signed it")
}

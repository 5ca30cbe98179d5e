package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// minSecret is the least that a user's secret has, in bytes.
const minSecret = 8

// A roll is a list of users, for trials. Each has one secret, which is a token, or the password of HTTP's Basic scheme.
type roll []user

type user struct {
	name   string
	secret [sha256.Size]byte // hashed, so that all are equally long
}

// ValidUser tells whether text is NAME:SECRET.
func ValidUser(text string) bool {
	name, secret, _ := strings.Cut(text, ":")
	return checkName(name) == nil && len(secret) >= minSecret
}

func newRoll(users []string) (roll, error) {
	var r roll
	names, secrets := make(map[string]bool), make(map[[sha256.Size]byte]bool)
	for _, text := range users {
		name, secret, _ := strings.Cut(text, ":")
		u := user{name, sha256.Sum256([]byte(secret))}
		switch {
		case !ValidUser(text):
			return nil, &OptionError{"static.users", errors.New("a user is not NAME:SECRET with a secret of 8 bytes or more")}
		case names[name]:
			return nil, &OptionError{"static.users", errors.New("a name is listed twice")}
		case secrets[u.secret]:
			return nil, &OptionError{"static.users", errors.New("two users have the same secret, by which they would be told apart")}
		}
		names[name], secrets[u.secret] = true, true
		r = append(r, u)
	}
	return r, nil
}

func (r roll) decide(_ context.Context, a *attempt) (*grant, error) {
	secret := a.token
	if a.basic {
		secret = a.password
	}
	if secret == "" {
		return nil, missing
	}
	if name, ok := r.find(secret, a.username, a.basic); ok {
		return &grant{username: name, uuid: a.uuid}, nil
	}
	return nil, &denial{Denied, http.StatusUnauthorized, "no such user, or another secret"}
}

// find looks at all users, in a time that does not tell which secret was nearly right.
func (r roll) find(secret, username string, named bool) (string, bool) {
	sum := sha256.Sum256([]byte(secret))
	found := -1
	for i := range r {
		same := subtle.ConstantTimeCompare(sum[:], r[i].secret[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 || named && r[found].name != username {
		return "", false
	}
	return r[found].name, true
}

func (r roll) close() {}

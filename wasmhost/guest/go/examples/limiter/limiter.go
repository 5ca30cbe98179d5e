// Package limiter allows each user some requests in a minute.
package limiter

import (
	"fmt"
	"time"

	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
)

// Most is how many requests a user may send in a minute.
const Most = 3

// Handle counts requests by user.
func Handle(req *guest.Request, next guest.Next) error {
	n, err := guest.Add("requests/"+req.Peer().Username(), 1, time.Minute)
	if err != nil {
		return err
	}
	if n > Most {
		return guest.Error(429, fmt.Sprintf("%d requests in a minute, at most %d are allowed", n, Most))
	}
	next()
	return nil
}

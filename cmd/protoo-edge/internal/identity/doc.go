// Package identity decides who may connect to protoo-edge, and as whom: by a token, by a list of users, or by asking a back end.
// It also ends what it has allowed: when a token expires, and when it is revoked.
package identity

package board

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"herz.example/herz/pool"
)

// Controller is a [Source] that lets the board change it. [pool.Pool] is one, and so is what herzsql.Source gives. A source that has
// these methods and cannot act after all also has Controllable() error, which says why.
type Controller interface {
	Source
	// EvictStale closes what is dead, too old or silent among the idle connections, and says how many that were.
	EvictStale(ctx context.Context) (int, error)
	// SetLimits puts new limits in force, all at once; an error changes nothing.
	SetLimits(l pool.Limits) error
	// Invalidate makes every present connection unfit to be lent again.
	Invalidate(cause error)
	// Drain lends no more, waits for the users, and closes.
	Drain(ctx context.Context) error
}

// Verb is what can be done to a source.
type Verb string

// The verbs, as they stand in the address of an action.
const (
	Evict        Verb = "evict"
	ChangeLimits Verb = "limits"
	Invalidate   Verb = "invalidate"
	Drain        Verb = "drain"
)

var verbs = []Verb{Evict, ChangeLimits, Invalidate, Drain}

// Action is what a caller wants to do.
type Action struct {
	Verb   Verb
	Source string // as the caller called it: a name, or name#id
}

// MinTokenLength is the number of characters that a token has at the least: 16 random bytes in hexadecimal.
const MinTokenLength = 32

// Token is what a caller bears who may act, as in `Authorization: Bearer …` (RFC 6750). It keeps only a digest of the secret. The zero
// Token is borne by nobody.
type Token struct {
	set    bool
	digest [sha256.Size]byte
}

// NewToken makes a token of a secret, such as `openssl rand -hex 32` prints. White space around it is left out. An error means that it is
// too short to be a secret, or that it cannot stand in a header.
func NewToken(secret string) (Token, error) {
	secret = strings.TrimSpace(secret)
	if len(secret) < MinTokenLength {
		return Token{}, fmt.Errorf("herz/board: the token has %d characters; it must have %d or more: make one with `openssl rand -hex 32`",
			len(secret), MinTokenLength)
	}
	for _, c := range []byte(secret) {
		if c <= ' ' || c > '~' {
			return Token{}, errors.New("herz/board: the token has a character that cannot stand in a header: make one with `openssl rand -hex 32`")
		}
	}
	return Token{set: true, digest: sha256.Sum256([]byte(secret))}, nil
}

// String hides the token.
func (t Token) String() string {
	if t.set {
		return "(a token)"
	}
	return "(no token)"
}

// borneBy compares in a time that does not depend on what was sent.
func (t Token) borneBy(r *http.Request) bool {
	kind, secret, found := strings.Cut(r.Header.Get("Authorization"), " ")
	digest := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	return subtle.ConstantTimeCompare(digest[:], t.digest[:]) == 1 && t.set && found && strings.EqualFold(kind, "Bearer")
}

// control says whether anything can be changed, and by whom.
func (b *Board) control() controlJSON {
	switch {
	case b.cfg.AuthorizeAction != nil:
		return controlJSON{Enabled: true, By: "hook"}
	case b.cfg.Token.set:
		return controlJSON{Enabled: true, By: "token"}
	default:
		return controlJSON{}
	}
}

// controller gives the source as one that can be changed, or why it cannot.
func (e *entry) controller() (Controller, error) {
	c, ok := e.src.(Controller)
	if !ok {
		return nil, errors.New("it only shows: it has no methods that change it")
	}
	if able, asked := e.src.(interface{ Controllable() error }); asked {
		if err := able.Controllable(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

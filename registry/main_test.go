package registry_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meta is what the article keeps of a connection.
type meta struct {
	Conn     int // number of the connection
	LastSeen int
}

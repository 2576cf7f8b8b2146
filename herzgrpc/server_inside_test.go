package herzgrpc

import (
	"context"
	"testing"
)

// select takes either of two that are ready.
func TestDrainThatEndsAsItsTimeDoesHasCutNothingOff(t *testing.T) {
	done := make(chan struct{})
	close(done)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 {
		if !came(over, done) {
			t.Fatal("what had ended counts as cut off")
		}
	}
}

package herzgrpc

import (
	"testing"
	"time"
)

// A server counts a ping that comes before MinTime is over, and cuts off after the third.
func TestPingsComeNoMoreOftenThanTheServerAllows(t *testing.T) {
	for min, want := range map[time.Duration]time.Duration{
		0: 5*time.Minute + 30*time.Second, time.Minute: 66 * time.Second, time.Second: 10 * time.Second, time.Hour: 66 * time.Minute,
	} {
		cfg := Config{ServerMinTime: min}.withDefaults()
		if got := cfg.keepAliveTime(); got != want || got < cfg.ServerMinTime {
			t.Errorf("MinTime %v: a ping every %v, want %v", cfg.ServerMinTime, got, want)
		}
	}
	s, err := NewServer(ServerConfig{})
	if err != nil || (Config{}).withDefaults().keepAliveTime() <= s.config.MinTime {
		t.Errorf("client and server that were told nothing do not agree: %v, %v", s.config.MinTime, err)
	}
}

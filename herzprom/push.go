package herzprom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

// PushConfig says where metrics are pushed to.
type PushConfig struct {
	// URL is the Pushgateway's, with its scheme.
	URL string
	// Job names the group of series; each push replaces the whole group.
	Job string
	// Grouping are further labels of the group, as instance. Nil: none.
	Grouping map[string]string
	// Every is the time between two pushes. 0: 15 seconds.
	Every time.Duration
	// Timeout bounds one push. 0: 5 seconds.
	Timeout time.Duration
	// Failed is told of each push that failed; the next one is tried in any case. Nil: nobody.
	Failed func(error)
}

// Push sends what g gathers, to a Pushgateway, at once, again and again, and a last time when ctx ends, so that the last numbers of a short job are not
// lost. It is for jobs that end before a scrape finds them; it returns the error of the last push, and an error at once where URL or Job is missing.
func Push(ctx context.Context, g prometheus.Gatherer, cfg PushConfig) error {
	if cfg.URL == "" || cfg.Job == "" {
		return errors.New("herz/herzprom: push: PushConfig needs URL, as http://pushgateway:9091, and Job")
	}
	if cfg.Every <= 0 {
		cfg.Every = 15 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	to := push.New(cfg.URL, cfg.Job).Gatherer(g)
	for name, value := range cfg.Grouping {
		to = to.Grouping(name, value)
	}
	tick := time.NewTicker(cfg.Every)
	defer tick.Stop()
	for {
		last := ctx.Err() != nil
		err := pushOnce(ctx, to, cfg)
		if last {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// pushOnce pushes once, also when ctx has ended: that is the last time.
func pushOnce(ctx context.Context, to *push.Pusher, cfg PushConfig) error {
	once, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Timeout)
	defer cancel()
	err := to.PushContext(once)
	if err != nil {
		err = fmt.Errorf("herz/herzprom: push to %s: %w", cfg.URL, err)
		if cfg.Failed != nil {
			cfg.Failed(err)
		}
	}
	return err
}

//go:build linux

package rolling_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

const (
	clients = 12                    // each sends one request after the other
	pause   = 20 * time.Millisecond // between two requests of a client
)

// load are plain clients that send GETs and POSTs through a balancer.
type load struct {
	url    string
	client *http.Client
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex // guards what follows; nothing else happens under it
	sent     map[string]int
	failed   []string
	instance map[string]bool
	news     chan struct{} // closed and replaced at each new instance and failure
}

func startLoad(t *testing.T, addr string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{
		url:  "http://" + addr + "/work",
		stop: cancel, sent: map[string]int{}, instance: map[string]bool{}, news: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 20 * time.Second},
	}
	for i := range clients {
		l.done.Go(func() { l.send(ctx, i) })
	}
	t.Cleanup(func() { l.end() })
	return l
}

// send is one client.
func (l *load) send(ctx context.Context, i int) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := i; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		method := http.MethodGet
		if n%2 == 0 {
			method = http.MethodPost
		}
		instance, err := l.ask(method)
		l.note(method, instance, err)
	}
}

// ask sends one request, and fails at anything but a full answer with status 200.
func (l *load) ask(method string) (string, error) {
	var body io.Reader
	if method == http.MethodPost {
		body = bytes.NewReader(bytes.Repeat([]byte("x"), 512))
	}
	req, err := http.NewRequest(method, l.url, body)
	if err != nil {
		return "", err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %q", resp.Status, text)
	}
	return resp.Header.Get("X-Instance"), err
}

func (l *load) note(method, instance string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[method]++
	news := err != nil
	if err != nil {
		l.failed = append(l.failed, method+": "+err.Error())
	} else if !l.instance[instance] {
		l.instance[instance] = true
		news = true
	}
	if news {
		close(l.news)
		l.news = make(chan struct{})
	}
}

// serves waits until a server has answered some client.
func (l *load) serves(t *testing.T, instance string) {
	t.Helper()
	most := time.NewTimer(30 * time.Second)
	defer most.Stop()
	for {
		l.mu.Lock()
		there, news := l.instance[instance], l.news
		l.mu.Unlock()
		if there {
			return
		}
		select {
		case <-news:
		case <-most.C:
			t.Fatalf("30 s after its start nobody was sent to server %s", instance)
		}
	}
}

// failures are the requests that failed up to now.
func (l *load) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.failed...)
}

// end stops the clients. It returns what was sent.
func (l *load) end() map[string]int {
	l.stop()
	l.done.Wait()
	l.client.CloseIdleConnections()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

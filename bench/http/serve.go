package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
)

// serveWord makes this program the server of the cost rows, so that the client's processor time is the client's alone.
const serveWord = "serve-for-bench"

// served are the addresses of a server process.
type served struct {
	HTTP1 string `json:"http1"`
	HTTP2 string `json:"http2"`
}

// serve answers until stdin ends.
func serve(in io.Reader, out io.Writer) error {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	})
	one, two := httptest.NewServer(hello), httptest.NewUnstartedServer(hello)
	defer one.Close()
	two.EnableHTTP2 = true
	two.StartTLS()
	defer two.Close()
	if err := json.NewEncoder(out).Encode(served{one.URL, two.URL}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// startServer starts this program once more, as the server. It ends when the returned function is called, or with this process.
func startServer(ctx context.Context) (s served, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return s, nil, err
	}
	c := exec.CommandContext(ctx, self, serveWord) //nolint:gosec // this program itself
	c.Stderr = os.Stderr
	in, errIn := c.StdinPipe()
	out, errOut := c.StdoutPipe()
	if err = errors.Join(errIn, errOut); err != nil {
		return s, nil, err
	}
	if err = c.Start(); err != nil {
		return s, nil, fmt.Errorf("start the server: %w", err)
	}
	end = func() { _ = in.Close(); _ = c.Wait() }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		end()
		return s, nil, fmt.Errorf("read the server's addresses: %w", err)
	}
	return s, end, nil
}

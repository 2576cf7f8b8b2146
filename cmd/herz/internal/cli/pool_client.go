package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	boardPath  = "/debug/herz/"
	lookTime   = 10 * time.Second // of a question, and of what an answer may take beyond the time of its action
	answerMost = 64 << 20         // bytes
	tokenMost  = 4 << 10          // bytes of a token's file
)

// boardError is why a board did not do what it was asked for.
type boardError struct {
	exit int
	code string // of the board; empty where there was none
	text string
}

func (e *boardError) Error() string { return e.text }

func unable(exit int, format string, args ...any) error {
	return &boardError{exit: exit, text: fmt.Sprintf(format, args...)}
}

// boardClient talks to the board of one program.
type boardClient struct {
	base  *url.URL
	token string
	http  *http.Client
}

// boardFlags say which board is meant, and with which right.
type boardFlags struct {
	addr, tokenFile string
	plain           bool
}

func (b *boardFlags) register(f *flag.FlagSet) {
	f.StringVar(&b.addr, "addr", defaultBoard, "")
	f.StringVar(&b.tokenFile, "token-file", "", "")
	f.BoolVar(&b.plain, "plain-http", false, "")
}

// wrongFlag says what is wrong with the flags of a command that talks to a board.
func wrongFlag(err error, command string) error {
	if strings.HasPrefix(err.Error(), "flag provided but not defined: -token") {
		return errors.New("a token on the command line is seen by everyone who lists processes; use --token-file FILE or HERZ_TOKEN")
	}
	return fmt.Errorf("%w; see herz %s --help", err, command)
}

func newBoardClient(o *boardFlags, env func(string) string) (*boardClient, error) {
	base, err := boardAddress(o.addr)
	if err != nil {
		return nil, err
	}
	token, err := boardToken(o.tokenFile, env)
	if err != nil {
		return nil, err
	}
	if token != "" && base.Scheme == "http" && !loopback(base.Hostname()) && !o.plain {
		return nil, fmt.Errorf("the token would travel to %s in clear text; use an https:// address or an SSH tunnel, or add --plain-http", base.Host)
	}
	return &boardClient{base: base, token: token, http: &http.Client{
		// Neither a proxy nor a redirection gets the token. A command asks a few times only, and keeps no connection.
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: lookTime}).DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// boardAddress takes host:port and whole addresses.
func boardAddress(addr string) (*url.URL, error) {
	text := addr
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	bad := fmt.Errorf("--addr is %q; give host:port, such as 127.0.0.1:6060, or the board's whole address, such as https://host/debug/herz/", addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, bad
	}
	if !strings.Contains(addr, "://") && u.Port() == "" {
		return nil, bad
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = boardPath
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// boardToken reads the token; empty where there is none.
func boardToken(file string, env func(string) string) (string, error) {
	if file == "" {
		return strings.TrimSpace(env("HERZ_TOKEN")), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read the token: %w; check --token-file", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, tokenMost))
	if err != nil {
		return "", fmt.Errorf("read the token: %w; check --token-file", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n\t ") || len(text) == tokenMost {
		return "", fmt.Errorf("%s holds no token; it must hold one word, such as openssl rand -hex 32 prints", file)
	}
	return token, nil
}

func (c *boardClient) host() string { return c.base.Host }

func (c *boardClient) look(ctx context.Context, path string, into any) ([]byte, error) {
	return c.call(ctx, http.MethodGet, path, nil, lookTime, into)
}

// act posts an order, and gives the answer also where the order was not brought to its end: then beside the error.
func (c *boardClient) act(ctx context.Context, pool, verb string, order map[string]any, limit time.Duration, into any) ([]byte, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return nil, fmt.Errorf("encode the order: %w", err)
	}
	return c.call(ctx, http.MethodPost, "pools/"+url.PathEscape(pool)+"/"+verb, body, limit+lookTime, into)
}

// call asks the board once, within the limit.
func (c *boardClient) call(ctx context.Context, method, path string, body []byte, limit time.Duration, into any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+"api/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, unable(Usage, "--addr cannot be asked: %v", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(err, limit)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	if err != nil {
		return nil, unable(Failed, "read the answer of the board at %s: %v", c.host(), err)
	}
	if resp.StatusCode != http.StatusOK {
		return text, c.refusal(resp, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, unable(Failed, "%s answers with something that is not the JSON of a board: %v; check --addr", c.base, err)
	}
	return text, nil
}

func (c *boardClient) unreached(err error, limit time.Duration) error {
	var unknown *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return unable(Failed, "interrupted; what the board had begun goes on: see herz pool ls")
	case errors.Is(err, syscall.ECONNREFUSED):
		return unable(Failed, "nothing listens at %s: start the program that serves the board there, or give its address with --addr", c.host())
	case errors.Is(err, context.DeadlineExceeded):
		return unable(Failed, "the board at %s did not answer within %v; check --addr", c.host(), limit)
	case errors.As(err, &unknown):
		return unable(Failed, "%s is no known host; check --addr", c.base.Hostname())
	default:
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return unable(Failed, "the board at %s cannot be asked: %v; check --addr", c.host(), err)
	}
}

// refusal turns an answer that is not 200 into a sentence that says what to change.
func (c *boardClient) refusal(resp *http.Response, text []byte) error {
	var said struct {
		Error *struct {
			Code    string   `json:"code"`
			Message string   `json:"message"`
			Pools   []string `json:"pools"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &said); err != nil || said.Error == nil {
		return c.plainRefusal(resp, text)
	}
	code, message := said.Error.Code, strings.TrimPrefix(said.Error.Message, "herz/board: ")
	e := &boardError{exit: Usage, code: code, text: message}
	switch code {
	case "unauthorized":
		if c.token == "" {
			e.text = "this needs the board's token: give --token-file FILE or set HERZ_TOKEN"
		} else {
			e.text = "the board at " + c.host() + " has another token; check --token-file or HERZ_TOKEN"
		}
	case "control_off":
		e.text = "the board at " + c.host() + " only shows: make a token with openssl rand -hex 32, and have the program set board.Config.Token (board.NewToken)"
	case "unknown_pool":
		if missing := strings.Contains(message, "did you mean"); missing {
			e.text += " The board has " + strings.Join(said.Error.Pools, ", ")
		}
	case "busy", "failed", "timed_out":
		e.exit = Failed
	}
	return e
}

func (c *boardClient) plainRefusal(resp *http.Response, text []byte) error {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	line = strings.TrimPrefix(line, "herz/board: ")
	switch {
	case resp.StatusCode == http.StatusForbidden && line != "":
		return unable(Usage, "the board at %s refuses: %s", c.host(), line)
	case resp.StatusCode == http.StatusUnauthorized:
		return unable(Usage, "%s wants to know who you are; give --token-file FILE or set HERZ_TOKEN", c.host())
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed:
		return unable(Usage, "there is no board that can be controlled at %s; give the whole address of the board with --addr, such as http://%s%s",
			c.base, c.host(), boardPath)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return unable(Usage, "%s sends elsewhere, to %q; give that address with --addr", c.base, resp.Header.Get("Location"))
	default:
		return unable(Failed, "%s answers %s: %s", c.base, resp.Status, line)
	}
}

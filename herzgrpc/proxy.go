package herzgrpc

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"

	"herz.example/herz/guard"
)

// maxAnswer bounds the head of what a proxy answers to CONNECT.
const maxAnswer = 64 << 10

// proxyKey is under which an address says through which proxy it is reached.
type proxyKey struct{}

// proxyURL is a proxy as an attribute of an address.
type proxyURL string

// String is the proxy without its user: gRPC writes attributes to its log, and shows them by channelz.
func (p proxyURL) String() string {
	u, err := url.Parse(string(p))
	if err != nil {
		return "proxy"
	}
	u.User = nil
	return u.String()
}

// viaProxy marks an address. gRPC gives its attributes to the dialer.
func viaProxy(a resolver.Address, proxy string) resolver.Address {
	a.Attributes = a.Attributes.WithValue(proxyKey{}, proxyURL(proxy))
	return a
}

// proxyFor is the proxy of the address that is dialled under ctx, or empty.
func proxyFor(ctx context.Context) string {
	via, _ := credentials.ClientHandshakeInfoFromContext(ctx).Attributes.Value(proxyKey{}).(proxyURL)
	return string(via)
}

// proxyOf asks for the proxy of a target. No proxy: empty.
func (c *Client) proxyOf(endpoint string) (string, error) {
	if c.config.Dialer != nil {
		return "", nil
	}
	u, err := c.config.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: endpoint}})
	switch {
	case err != nil:
		return "", fmt.Errorf("herz/herzgrpc: proxy for %s: %w", endpoint, err)
	case u == nil:
		return "", nil
	case u.Scheme != "" && u.Scheme != "http":
		return "", fmt.Errorf("herz/herzgrpc: proxy %s for %s: only proxies of the scheme http are spoken to: change HTTPS_PROXY, or set Config.Dialer",
			u.Redacted(), endpoint)
	}
	return u.String(), nil
}

// through reaches addr by CONNECT (RFC 9110, 9.3.6) over a guarded connection to a proxy, within the time that a dial has.
func through(ctx context.Context, d *guard.Dialer, proxy, addr string) (net.Conn, error) {
	u, err := url.Parse(proxy)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	limit := d.Options.HeartbeatTimeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", withPort(u.Host))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	err = tunnel(nc, u, addr)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy %s: %w", u.Redacted(), err), nc.Close())
	}
	return nc, nil
}

func tunnel(nc net.Conn, proxy *url.URL, addr string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(nc); err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	head, err := readHead(nc)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), req)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", addr, err)
	}
	_ = answer.Body.Close() // an answer to CONNECT has none
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it refuses to connect to %s: %s", addr, answer.Status)
	}
	return nil
}

// readHead reads to the end of the header and not a byte further: what comes next is the server's.
func readHead(nc net.Conn) ([]byte, error) {
	var head []byte
	for one := make([]byte, 1); len(head) < maxAnswer; {
		if _, err := nc.Read(one); err != nil {
			return nil, err
		}
		if head = append(head, one[0]); bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			return head, nil
		}
	}
	return nil, fmt.Errorf("the header of its answer is longer than %d bytes", maxAnswer)
}

// withPort adds what gRPC assumes: this machine, and the port of HTTPS.
func withPort(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil {
		return net.JoinHostPort(cmp.Or(name, "localhost"), port)
	}
	return net.JoinHostPort(host, "443")
}

package herzws

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455, section 1.3, wants it; it proves that the server speaks WebSocket, and keeps no secret
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// refusal is the answer to a request that is not upgraded.
type refusal struct {
	status int
	what   string
	header map[string]string
}

// wantsUpgrade reports whether the request asks for a WebSocket, well or badly.
func wantsUpgrade(r *http.Request) bool { return hasToken(r.Header["Upgrade"], "websocket") }

// hasToken looks for a token in a list of the form of RFC 9110, section 5.6.1, without regard to case.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

// checkHandshake holds a request against RFC 6455, section 4.2.1. Nil: it may be upgraded.
func checkHandshake(r *http.Request) *refusal {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return &refusal{http.StatusHTTPVersionNotSupported, "a WebSocket needs HTTP/1.1 here", nil}
	case r.Method != http.MethodGet:
		return &refusal{http.StatusMethodNotAllowed, "a WebSocket begins with GET (RFC 6455, section 4.1)", map[string]string{"Allow": "GET"}}
	case !hasToken(r.Header["Connection"], "upgrade"):
		return &refusal{http.StatusBadRequest, "the header Connection has to have Upgrade (RFC 6455, section 4.2.1); a proxy on the way may have removed it", nil}
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return &refusal{
			http.StatusUpgradeRequired, "this server speaks version 13 of WebSocket (RFC 6455, section 4.2.2)",
			map[string]string{"Sec-WebSocket-Version": "13", "Upgrade": "websocket", "Connection": "Upgrade"},
		}
	case r.Host == "":
		return &refusal{http.StatusBadRequest, "the header Host is missing (RFC 6455, section 4.2.1)", nil}
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return &refusal{http.StatusBadRequest, "there has to be one Sec-WebSocket-Key (RFC 6455, section 11.3.1)", nil}
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return &refusal{http.StatusBadRequest, "Sec-WebSocket-Key has to be 16 bytes in base64 (RFC 6455, section 4.2.1)", nil}
	}
	return nil
}

// sameOrigin takes pages of the host that was asked for, and programs, which send no Origin.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// acceptKey is the server's proof (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(strings.TrimSpace(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see the import
	return base64.StdEncoding.EncodeToString(sum[:])
}

// chosen is the first of ours that the client offers.
func chosen(ours []string, r *http.Request) string {
	for _, p := range ours {
		for _, v := range r.Header["Sec-Websocket-Protocol"] {
			if slices.ContainsFunc(strings.Split(v, ","), func(o string) bool { return strings.TrimSpace(o) == p }) {
				return p
			}
		}
	}
	return ""
}

// handshakeTime bounds the writing of the answer, which fits into any socket's buffer.
const handshakeTime = 5 * time.Second

// takeOver takes the connection out of net/http and answers 101. Early is what the client sent already.
func takeOver(w http.ResponseWriter, r *http.Request, protocol string) (nc net.Conn, early []byte, err error) {
	var rw *bufio.ReadWriter
	if nc, rw, err = http.NewResponseController(w).Hijack(); err != nil {
		return nil, nil, err
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		acceptKey(r.Header.Get("Sec-Websocket-Key")) + "\r\n"
	if protocol != "" {
		answer += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	_ = nc.SetDeadline(time.Now().Add(handshakeTime)) // the write tells when it is closed
	if _, err = nc.Write([]byte(answer + "\r\n")); err != nil {
		_ = nc.Close() // the first error is told
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Time{}) // as above
	return nc, leftover(rw.Reader), nil
}

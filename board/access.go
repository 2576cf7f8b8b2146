package board

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// allowed says why a request is refused; nil serves it.
func (b *Board) allowed(r *http.Request) error {
	if b.cfg.Authorize != nil {
		if err := b.cfg.Authorize(r); err != nil {
			return errors.New("herz/board: you are not allowed to see this page")
		}
		return nil
	}
	if b.cfg.AuthorizeAction == nil && b.cfg.Token.borneBy(r) {
		return nil // A browser sends it for no foreign page.
	}
	if !localCaller(r) {
		if b.cfg.Token.set && r.Header.Get("Authorization") != "" {
			return errors.New("herz/board: this is not the board's token; from another machine it is needed, or set board.Config.Authorize")
		}
		return errors.New("herz/board: this page is served to the machine it runs on only: " +
			"open it there, through an SSH tunnel for example, send its token where it has one, or set board.Config.Authorize")
	}
	if !localName(r.Host) {
		return errors.New("herz/board: this page is served under a loopback name only: " +
			"open it as http://localhost or http://127.0.0.1, or set board.Config.Authorize")
	}
	return nil
}

// forwarding are the headers by which proxies say that they speak for somebody else.
var forwarding = [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto", "Via"}

// localCaller reports whether a request comes from this machine itself. A proxy on this machine speaks for somebody else: what it
// forwards says so in a header (RFC 7239, its older forms, or Via of RFC 9110), and is not local. One that says nothing, as nginx does unless it is
// told to, is taken for the machine itself: see docs/board.md.
func localCaller(r *http.Request) bool {
	for _, h := range forwarding {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return true
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// localName reports whether a Host header names this machine: localhost, a name under it (RFC 6761, section 6.3), or
// a loopback address. A page of a foreign site that had its name resolved to 127.0.0.1 comes with its own name.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

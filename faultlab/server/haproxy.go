//go:build linux

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func haproxy() product {
	return product{
		name:      "HAProxy",
		accounts:  []string{"haproxy"},
		bins:      []string{"/usr/sbin", "/usr/local/sbin"},
		server:    "haproxy",
		arguments: argumentsHAProxy,
		dsn:       func(_ *Server, a Access) string { return a.Addr },
		ready:     answersTCP,
		behind:    true,
	}
}

// never is longer than any run; HAProxy wants each time-out to be set.
const never = "24h"

func argumentsHAProxy(s *Server) ([]string, error) {
	idle := never
	if t := s.opt.idleSeconds(); t > 0 {
		idle = fmt.Sprintf("%ds", t)
	}
	var text strings.Builder
	// One thread takes connections in the order in which they come; with more, the one that asked whether HAProxy is ready may take its turn late.
	fmt.Fprintf(&text, "global\n  nbthread 1\n  maxconn %d\ndefaults\n  mode tcp\n  timeout connect 3s\n  timeout client %[2]s\n  timeout server %[2]s\n",
		s.opt.connections(), idle)
	for _, set := range s.opt.Settings {
		fmt.Fprintf(&text, "  %s\n", strings.Replace(set, "=", " ", 1))
	}
	fmt.Fprintf(&text, "listen lab\n  bind %s:%d\n  balance roundrobin\n", s.opt.Listen, s.Port)
	for i, to := range s.opt.To {
		fmt.Fprintf(&text, "  server s%d %s\n", i, to)
	}
	config := filepath.Join(s.dir, "haproxy.cfg")
	if err := os.WriteFile(config, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	return []string{"-db", "-f", config}, nil
}

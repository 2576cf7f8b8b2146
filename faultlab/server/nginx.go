//go:build linux

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func nginx() product {
	return product{
		name:      "nginx",
		accounts:  []string{"www-data", "nginx"},
		bins:      []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"},
		server:    "nginx",
		arguments: argumentsNginx,
		dsn:       func(_ *Server, a Access) string { return a.Addr },
		ready:     answersTCP,
		behind:    true,
	}
}

// upstreamIdle is how many idle connections nginx keeps to its servers.
const upstreamIdle = 64

func argumentsNginx(s *Server) ([]string, error) {
	var server, upstream, location string
	for _, set := range s.opt.Settings {
		switch name, value, _ := strings.Cut(set, "="); name {
		case "server":
			server += " " + value
		case "upstream":
			upstream += "    " + value + ";\n"
		default:
			location += "      " + name + " " + value + ";\n"
		}
	}
	var text strings.Builder
	// One process, because workers of their own would outlive a master that is killed.
	fmt.Fprintf(&text, "daemon off;\nmaster_process off;\nworker_processes 1;\npid %s;\nevents { worker_connections %d; }\nhttp {\n  access_log off;\n",
		filepath.Join(s.dir, "nginx.pid"), 4*s.opt.connections())
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&text, "  %s_temp_path %s;\n", kind, filepath.Join(s.data(), kind))
	}
	if t := s.opt.idleSeconds(); t > 0 {
		fmt.Fprintf(&text, "  keepalive_timeout %ds;\n", t)
	}
	fmt.Fprintf(&text, "  upstream lab {\n    zone lab 256k;\n")
	for _, to := range s.opt.To {
		fmt.Fprintf(&text, "    server %s%s;\n", to, server)
	}
	fmt.Fprintf(&text, "    keepalive %d;\n%s  }\n", upstreamIdle, upstream)
	// The second and third line of the location are nginx's recipe for connections to servers that are kept.
	fmt.Fprintf(&text, "  server {\n    listen %s:%d;\n    location / {\n      proxy_pass http://lab;\n", s.opt.Listen, s.Port)
	fmt.Fprintf(&text, "      proxy_http_version 1.1;\n      proxy_set_header Connection '';\n%s    }\n  }\n}\n", location)
	config := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	return []string{"-e", "stderr", "-p", s.dir, "-c", config}, nil
}

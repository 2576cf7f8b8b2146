//go:build linux

package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

func redis() product {
	return product{
		name:      "Redis",
		accounts:  []string{"redis"},
		bins:      []string{"/usr/bin", "/usr/local/bin"},
		server:    "redis-server",
		arguments: argumentsRedis,
		dsn:       func(_ *Server, a Access) string { return "redis://" + a.Addr + "/0" },
		ready:     answersRedis,
	}
}

func argumentsRedis(s *Server) ([]string, error) {
	args := []string{
		"--port", strconv.Itoa(s.Port), "--bind", s.opt.Listen, "--protected-mode", "no", "--daemonize", "no",
		"--dir", s.data(), "--save", "", "--appendonly", "yes", "--appendfsync", "no",
		"--maxclients", strconv.Itoa(s.opt.connections()), "--timeout", strconv.Itoa(s.opt.idleSeconds()),
	}
	for _, set := range s.opt.Settings {
		name, value, _ := strings.Cut(set, "=")
		args = append(args, "--"+name, value)
	}
	return args, nil
}

// answersRedis asks by an inline command.
func answersRedis(ctx context.Context, s *Server) error {
	nc, err := dial(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	if _, err := nc.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, err := nc.Read(answer)
	if err == nil && !strings.HasPrefix(string(answer[:n]), "+PONG") {
		err = fmt.Errorf("to PING it answered %q", answer[:n]) // it is still loading
	}
	return err
}

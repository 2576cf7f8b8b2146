//go:build linux

package server_test

import (
	"context"
	"strings"
	"testing"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/server"
)

// encrypted asks the server whether it speaks TLS with us.
func encrypted(ctx context.Context, t *testing.T, k server.Kind, dsn string) (bool, error) {
	t.Helper()
	query := "SELECT IF(variable_value <> '', 1, 0) FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
	if k == server.PostgreSQL {
		query = "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
	}
	var on bool
	err := openAs(t, k, dsn).QueryRowContext(ctx, query).Scan(&on)
	return on, err
}

func TestClientsVerifyTheServerByItsAddress(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			n := netns.New(t)
			s := server.Start(t, k, server.Options{TLS: true, IP: n.IP(), Enter: n.Do})
			ctx := context10(t)
			if on, err := encrypted(ctx, t, k, s.DSN()); err != nil || !on {
				t.Errorf("encrypted: %t, %v", on, err)
			}
			if on, err := encrypted(ctx, t, k, s.DSNOf(server.Access{Plain: true})); err != nil || on {
				t.Errorf("asked for no TLS: encrypted: %t, %v", on, err)
			}
			if s.CA() == nil || s.CAFile() == "" || s.TLSConfig().RootCAs != s.CA() {
				t.Error("the authority is not given out")
			}
		})
	}
}

func TestCertificateOfAnotherServerIsRefused(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			a := server.Start(t, k, server.Options{TLS: true})
			b := server.Start(t, k, server.Options{TLS: true})
			_, err := encrypted(context10(t), t, k, a.DSNOf(server.Access{Addr: b.Addr()}))
			if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
				t.Errorf("a server with the certificate of another authority: %v", err)
			}
			_, err = encrypted(context10(t), t, k, a.DSNOf(server.Access{Addr: strings.Replace(a.Addr(), "127.0.0.1", "localhost", 1)}))
			if err == nil || !strings.Contains(err.Error(), "not localhost") && !strings.Contains(err.Error(), "valid for") {
				t.Errorf("a server by a name that its certificate has not: %v", err)
			}
		})
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		kind server.Kind
		opt  server.Options
	}{
		"TLS for Redis":               {server.Redis, server.Options{TLS: true}},
		"HAProxy before nobody":       {server.HAProxy, server.Options{}},
		"MariaDB before somebody":     {server.MariaDB, server.Options{To: []string{"127.0.0.1:1"}}},
		"half a second":               {server.MariaDB, server.Options{IdleTimeout: 1500e6}},
		"a negative number":           {server.PostgreSQL, server.Options{MaxConnections: -1}},
		"a follower of nobody's kind": {server.MariaDB, server.Options{Follow: &server.Server{Kind: server.MariaDB}}},
		"transaction mode of MariaDB": {server.MariaDB, server.Options{Transaction: true}},
	} {
		if s, err := server.Open(c.kind, c.opt); err == nil {
			s.Close()
			t.Errorf("%s was taken", name)
		}
	}
}

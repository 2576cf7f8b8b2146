//go:build linux

package server

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Demote makes a database server read-only in place, as a fail-over to another does: MariaDB by read_only, PostgreSQL by
// default_transaction_read_only. It returns when new sessions see it. The owner of MariaDB may still write; "client" may not.
func (s *Server) Demote(ctx context.Context) error { return s.role(ctx, true) }

// Promote makes it writable again, a standby for ever.
func (s *Server) Promote(ctx context.Context) error { return s.role(ctx, false) }

func (s *Server) role(ctx context.Context, readOnly bool) error {
	value := map[bool]string{true: "on", false: "off"}[readOnly]
	var set []string
	var shown string
	switch s.Kind {
	case MariaDB:
		set = []string{"SET GLOBAL read_only = " + value}
		shown = "SELECT IF(@@global.read_only, 'on', 'off')"
	case PostgreSQL:
		set = []string{"ALTER SYSTEM SET default_transaction_read_only = " + value, "SELECT pg_reload_conf()"}
		shown = "SHOW default_transaction_read_only"
	default:
		return fmt.Errorf("server: %v has no role to change", s.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	err := s.withDB(func(db *sql.DB) error {
		if s.opt.Follow != nil && !readOnly {
			if _, err := db.ExecContext(ctx, "SELECT pg_promote() WHERE pg_is_in_recovery()"); err != nil {
				return fmt.Errorf("pg_promote: %w", err)
			}
		}
		for _, q := range set {
			if _, err := db.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		for {
			var now string
			if err := db.QueryRowContext(ctx, shown).Scan(&now); err != nil {
				return fmt.Errorf("%s: %w", shown, err)
			}
			if now == value {
				return nil
			}
			time.Sleep(pollEvery) // the query before it is what ctx bounds
		}
	})
	if err != nil {
		return fmt.Errorf("server: make %v read-only: %s: %w", s.Kind, value, err)
	}
	return nil
}

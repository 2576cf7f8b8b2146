//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"herz.example/herz/examples/trial"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// gorm's manual tells its users to set these limits on what (*gorm.DB).DB returns. In pooled mode they would let database/sql keep leases for
// itself, if it were possible.
func TestSetMaxIdleConnsOfGormsUsersHoardsNothing(t *testing.T) {
	trial.OnEachServer(t, func(t *testing.T, s *server.Server) {
		const most = 4
		db, err := herzsql.OpenPooled(s.Kind.Driver(), s.DSN(), herzsql.WithLimits(pool.Limits{MaxOpen: most}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		l, err := open(db, s.Kind.Driver())
		if err != nil {
			t.Fatal(err)
		}
		g := l.(*library).db
		own, err := g.DB()
		if err != nil || own != db {
			t.Fatalf("gorm's DB() is %p, %v; want the database it was given, %p", own, err, db)
		}
		own.SetMaxIdleConns(50)
		own.SetMaxOpenConns(100)
		own.SetConnMaxLifetime(time.Hour)

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := together(ctx, g, 4*most); err != nil {
			t.Fatal(err)
		}
		herz, stdlib := herzsql.Stats(db), db.Stats()
		if herz.InUse != 0 || herz.Open == 0 || herz.Open > most || stdlib.Idle != 0 || stdlib.OpenConnections != 0 {
			t.Errorf("after all queries: in use %d, open %d of %d; database/sql keeps %d idle of %d",
				herz.InUse, herz.Open, most, stdlib.Idle, stdlib.OpenConnections)
		}
		for i := range most { // all of them can be had at once
			c, err := db.Conn(ctx)
			if err != nil {
				t.Fatalf("connection %d of %d: %v", i+1, most, err)
			}
			defer c.Close()
		}
	})
}

func together(ctx context.Context, g *gorm.DB, n int) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var got int
			errs[i] = g.WithContext(ctx).Raw("SELECT ? + 0", i).Scan(&got).Error
			if errs[i] == nil && got != i {
				errs[i] = fmt.Errorf("asked for %d, got %d", i, got)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

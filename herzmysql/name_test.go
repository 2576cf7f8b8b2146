package herzmysql_test

import (
	"net"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/herztest"
)

func TestNameThatMovesIsFollowedWithinTwoSeconds(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		before := newServer(t)
		_, port, err := net.SplitHostPort(before.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		after := newServerAt(t, "127.0.0.2:"+port)
		ns := herztest.NewNameServer(t)
		ns.Set("db.test", "127.0.0.1")
		options := guard.SQL
		options.Resolver = ns.Resolver()
		db, err := open("mysql", "user:secret@tcp(db.test:"+port+")/shop", herzsql.WithGuard(options))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		fill(t, db, 3)
		herztest.Follow(t, db, "add one", 10*time.Second, func() bool { return ns.Asked("db.test") > 5 })
		if n := after.accepted.Load(); n != 0 {
			t.Fatalf("%d connections before the name moved", n)
		}
		ns.Set("db.test", "127.0.0.2")
		herztest.Follow(t, db, "add one", 2*time.Second, func() bool { return after.executed.Load() >= 10 })
	})
}

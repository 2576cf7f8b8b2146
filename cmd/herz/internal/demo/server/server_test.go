package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type counter interface {
	Counts(ctx context.Context, requests []string) (map[string]int, error)
	Forget(ctx context.Context, requests []string) error
}

// countsExactly adds each of 200 requests once, from 8 goroutines, and one of them three times more.
func countsExactly(t *testing.T, c counter, add func(request string) error) {
	t.Helper()
	asked := []string{"absent"}
	jobs := make(chan string)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for id := range jobs {
				if err := add(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 200 {
		id := fmt.Sprintf("add-%d", i)
		asked = append(asked, id)
		jobs <- id
	}
	for range 3 {
		jobs <- "add-7"
	}
	close(jobs)
	all.Wait()
	got, err := c.Counts(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range asked {
		want := map[string]int{"absent": 0, "add-7": 4}
		n, special := want[id]
		if !special {
			n = 1
		}
		if got[id] != n {
			t.Errorf("%s was executed %d times and is counted %d", id, n, got[id])
		}
	}
	if err = c.Forget(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	if got, err = c.Counts(t.Context(), asked); err != nil || len(got) != 0 {
		t.Errorf("forgotten, and still there: %d, %v", len(got), err)
	}
}

func TestMySQLKnowsExactlyWhatItHasExecuted(t *testing.T) {
	m, err := server.StartMySQL(map[string]string{"a": "value of a", "b": "value of b"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	db, err := sql.Open("mysql", m.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var v string
	if err = db.QueryRowContext(t.Context(), "SELECT v FROM "+server.Values+" WHERE k = ?", "b").Scan(&v); err != nil || v != "value of b" {
		t.Fatalf("got %q, %v", v, err)
	}
	countsExactly(t, m, func(id string) error {
		_, err := db.ExecContext(t.Context(), "INSERT INTO "+server.Added+" (request) VALUES (?)", id)
		return err
	})
}

func TestRedisKnowsExactlyWhatItHasExecuted(t *testing.T) {
	r, err := server.StartRedis(map[string]string{"a": "value of a"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	c := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer func() { _ = c.Close() }()
	if v, err := c.Get(t.Context(), "a").Result(); err != nil || v != "value of a" {
		t.Fatalf("got %q, %v", v, err)
	}
	countsExactly(t, r, func(id string) error { return c.Incr(t.Context(), id).Err() })
}

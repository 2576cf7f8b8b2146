package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/puddle/v2"

	"herz.example/herz/pool"
)

// subject is a pool under measurement.
type subject struct {
	name    string
	measure func(context.Context, work) (sample, error)
}

// lender is an open pool: borrow once or in a loop, always in the same shape, so that no pool pays for the bench more than another.
type lender struct {
	loop  func(context.Context, *job) error
	close func() error
}

func subjects() []subject {
	list := []subject{}
	for _, s := range []struct {
		name string
		open func(size int) (lender, error)
	}{
		{herzName, openHerz},
		{againName, openHerz},
		{puddleName, openPuddle},
		{"database/sql", openSQL},
		{"go-redis", openRedis},
		{"channel", openChannel},
	} {
		list = append(list, subject{name: s.name, measure: func(ctx context.Context, w work) (sample, error) { return measure(ctx, s.open, w) }})
	}
	return list
}

const (
	herzName   = "herz"
	againName  = "herz-again" // the A/A row: what differs between it and herz is noise
	puddleName = "puddle"
	hikariName = "HikariCP"
)

// lend makes a lender of a pool's two functions and of the loop for rows in which nothing is done with a loan.
func lend[L any](acquire func(context.Context) (L, error), release func(L) error, bare func(context.Context, *job) error, end func() error) lender {
	return lender{
		loop: func(ctx context.Context, j *job) error {
			if j.bare() {
				return bare(ctx, j)
			}
			return loop(ctx, j, acquire, release)
		},
		close: end,
	}
}

// item is what the pools lend: something that is opened and closed without cost.
type item struct{ _ int }

// Close ends the item.
func (*item) Close() error { return nil }

func openHerz(size int) (lender, error) {
	p, err := pool.New(pool.Config[*item]{
		Dial:   func(context.Context) (*item, error) { return &item{}, nil },
		Limits: pool.Limits{MaxOpen: size},
	})
	if err != nil {
		return lender{}, fmt.Errorf("open herz: %w", err)
	}
	bare := func(ctx context.Context, j *job) error {
		n := int64(0)
		for !j.stop.Load() {
			l, err := p.Acquire(ctx)
			if err != nil {
				return err
			}
			l.Release()
			n++
		}
		j.pairs = n
		return nil
	}
	return lend(p.Acquire, func(l pool.Lease[*item]) error { l.Release(); return nil }, bare, p.Close), nil
}

func openPuddle(size int) (lender, error) {
	p, err := puddle.NewPool(&puddle.Config[*item]{
		Constructor: func(context.Context) (*item, error) { return &item{}, nil },
		Destructor:  func(*item) {},
		MaxSize:     int32(size), //nolint:gosec // pool sizes are the few small numbers of the list of rows
	})
	if err != nil {
		return lender{}, fmt.Errorf("open puddle: %w", err)
	}
	bare := func(ctx context.Context, j *job) error {
		n := int64(0)
		for !j.stop.Load() {
			r, err := p.Acquire(ctx)
			if err != nil {
				return err
			}
			r.Release()
			n++
		}
		j.pairs = n
		return nil
	}
	release := func(r *puddle.Resource[*item]) error { r.Release(); return nil }
	return lend(p.Acquire, release, bare, func() error { p.Close(); return nil }), nil
}

// noop is a driver whose connections do nothing.
type noop struct{}

func (noop) Connect(context.Context) (driver.Conn, error) { return noop{}, nil }
func (noop) Driver() driver.Driver                        { return noop{} }
func (noop) Open(string) (driver.Conn, error)             { return noop{}, nil }
func (noop) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("the no-op driver prepares nothing")
}

func (noop) Begin() (driver.Tx, error) { return nil, errors.New("the no-op driver begins nothing") }
func (noop) Close() error              { return nil }

func openSQL(size int) (lender, error) {
	db := sql.OpenDB(noop{})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	bare := func(ctx context.Context, j *job) error {
		n := int64(0)
		for !j.stop.Load() {
			c, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
			n++
		}
		j.pairs = n
		return nil
	}
	return lend(db.Conn, (*sql.Conn).Close, bare, db.Close), nil
}

func openChannel(size int) (lender, error) {
	c := make(chan *item, size)
	for range size {
		c <- &item{}
	}
	acquire := func(ctx context.Context) (*item, error) {
		select {
		case it := <-c:
			return it, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	bare := func(ctx context.Context, j *job) error {
		n := int64(0)
		for !j.stop.Load() {
			select {
			case it := <-c:
				c <- it
			case <-ctx.Done():
				return ctx.Err()
			}
			n++
		}
		j.pairs = n
		return nil
	}
	return lend(acquire, func(it *item) error { c <- it; return nil }, bare, func() error { return nil }), nil
}

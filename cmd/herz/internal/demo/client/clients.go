package client

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"herz.example/herz/cmd/herz/internal/demo/article"
	"herz.example/herz/herzmysql"
	"herz.example/herz/herzredis"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// Kind tells what a client is an example of.
type Kind string

// The kinds of clients.
const (
	Article Kind = "article" // the pool of the article, rebuilt
	Stock   Kind = "stock"   // a library as people use it today
	Herz    Kind = "herz"    // the same library through Herz
)

// Budget is the time that a request through Herz may take, over wait, ping, dial and use.
const Budget = 3200 * time.Millisecond

// MaxOpen is the number of connections that each client may have.
const MaxOpen = 16

// Client is one of the clients, serving.
type Client struct {
	Name  string
	Kind  Kind
	About string // how it is configured, in one sentence
	Redis bool   // its server is Redis, else MySQL
	URL   string
	Tap   *Tap

	Wall *herzsql.View // what Herz itself says of its pool; nil for others

	store  Store
	server *http.Server
	done   chan struct{}
}

// Targets are where the clients find their servers.
type Targets struct {
	MySQL     *mysql.Config // with the address of the proxy
	Tables    Tables
	Redis     *redis.Options
	ToldMySQL func(local string) (time.Time, bool)
	ToldRedis func(local string) (time.Time, bool)
}

// OpenAll opens all clients and starts their handlers.
func OpenAll(ctx context.Context, to Targets) (all []*Client, err error) {
	redis.SetLogger(&logging.VoidLogger{})
	defer func() {
		if err != nil {
			err = errors.Join(err, CloseAll(all))
			all = nil
		}
	}()
	for _, open := range []func(context.Context, Targets) (*Client, error){openArticle, openSQL, openRedis, openHerzSQL, openHerzRedis} {
		c, err := open(ctx, to)
		if err != nil {
			return all, err
		}
		all = append(all, c)
		if err = c.serve(ctx); err != nil {
			return all, err
		}
	}
	return all, nil
}

// CloseAll closes clients.
func CloseAll(all []*Client) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func openArticle(ctx context.Context, to Targets) (*Client, error) {
	tap := NewTap(to.ToldRedis, CarriesRedis)
	p, err := article.Open(ctx, to.Redis.Addr, tap.Dial(&net.Dialer{}))
	if err != nil {
		return nil, fmt.Errorf("open the article's client: %w", err)
	}
	return &Client{
		Name: "article", Kind: Article, Redis: true, Tap: tap, store: articleStore{p},
		About: "channel pool of 10, heartbeat of 3.2 s that only flags STALE, reader that makes an empty answer of an error",
	}, nil
}

func openSQL(_ context.Context, to Targets) (*Client, error) {
	tap := NewTap(to.ToldMySQL, CarriesMySQL)
	cfg := to.MySQL.Clone()
	cfg.DialFunc = tap.Dial(&net.Dialer{})
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database/sql client: %w", err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(MaxOpen)
	db.SetMaxIdleConns(MaxOpen)
	return &Client{
		Name: "database/sql", Kind: Stock, Tap: tap, store: sqlStore{db, to.Tables},
		About: "go-sql-driver/mysql with sql.Open, 16 connections, no deadline",
	}, nil
}

func openRedis(_ context.Context, to Targets) (*Client, error) {
	tap := NewTap(to.ToldRedis, CarriesRedis)
	o := *to.Redis
	o.PoolSize = MaxOpen
	o.Dialer = tap.Dial(&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 5 * time.Minute}) // as go-redis' own
	return &Client{
		Name: "go-redis", Kind: Stock, Redis: true, Tap: tap, store: redisStore{redis.NewClient(&o)},
		About: "redis.NewClient with its defaults, 16 connections, no deadline",
	}, nil
}

func openHerzSQL(_ context.Context, to Targets) (*Client, error) {
	tap := NewTap(to.ToldMySQL, CarriesMySQL)
	cfg := to.MySQL.Clone()
	cfg.DialFunc = tap.Dial(&net.Dialer{})
	herzmysql.Guard(cfg)
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database/sql client through Herz: %w", err)
	}
	db, err := herzsql.OpenConnector(c, herzsql.WithName("demo-mysql"), herzsql.WithLimits(pool.Limits{MaxOpen: MaxOpen}),
		herzsql.WithLogger(slog.New(slog.DiscardHandler))) // the page shows every death; the terminal is for the verdict
	if err != nil {
		return nil, fmt.Errorf("open the database/sql client through Herz: %w", err)
	}
	return &Client{
		Name: "database/sql through Herz", Kind: Herz, Tap: tap, Wall: herzsql.Source(db), store: sqlStore{db, to.Tables},
		About: "the same driver and pool, guarded by herzsql; 16 connections, 3.2 s for each request",
	}, nil
}

func openHerzRedis(_ context.Context, to Targets) (*Client, error) {
	tap := NewTap(to.ToldRedis, CarriesRedis)
	o := *to.Redis
	o.PoolSize = MaxOpen
	o.Dialer = tap.Dial(&net.Dialer{})
	return &Client{
		Name: "go-redis through Herz", Kind: Herz, Redis: true, Tap: tap, store: redisStore{herzredis.NewClient(&o)},
		About: "the same client, guarded by herzredis; 16 connections, 3.2 s for each request",
	}, nil
}

func (c *Client) serve(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve %s: %w", c.Name, err)
	}
	budget := time.Duration(0)
	if c.Kind == Herz {
		budget = Budget
	}
	c.URL = "http://" + l.Addr().String()
	c.done = make(chan struct{})
	c.server = &http.Server{Handler: Handler(c.store, budget), ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(c.done)
		_ = c.server.Serve(l)
	}()
	return nil
}

// Close ends the handler at once, then the client.
func (c *Client) Close() error {
	var errs []error
	if c.server != nil {
		errs = append(errs, c.server.Close())
		<-c.done
	}
	return errors.Join(append(errs, c.store.Close())...)
}

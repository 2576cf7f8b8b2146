//go:build linux

package server

import "context"

// Kind is a product.
type Kind uint8

// The products. HAProxy, PgBouncer, nginx and Envoy stand before other servers, see [Options.To].
const (
	MariaDB Kind = iota
	PostgreSQL
	Redis
	HAProxy
	PgBouncer
	Nginx
	Envoy
)

// Kinds are the products that a *sql.DB speaks to.
var Kinds = []Kind{MariaDB, PostgreSQL}

// String is the name of the product.
func (k Kind) String() string { return k.product().name }

// Driver is the name of its database/sql driver; empty where there is none.
func (k Kind) Driver() string { return k.product().driver }

func (k Kind) product() *product { return &products[k] }

// products are filled here because their functions lead back to them.
var products []product

func init() {
	products = []product{
		MariaDB: mariadb(), PostgreSQL: postgres(), Redis: redis(), HAProxy: haproxy(), PgBouncer: pgbouncer(), Nginx: nginx(), Envoy: envoy(),
	}
}

// product is how one kind of server is handled. Programs are looked for in PATH and in bins.
type product struct {
	name, driver string
	accounts     []string // under which root starts it, the first that exists
	bins         []string // patterns of folders
	server       string   // the program that serves
	installer    string   // the program that prepares data; empty: there is none to prepare
	install      func(a *account, p *product, data string) error
	arguments    func(s *Server) ([]string, error) // and configuration files
	dsn          func(s *Server, a Access) string
	ready        func(ctx context.Context, s *Server) error
	tls, behind  bool // understands Options.TLS, needs Options.To
	lends        bool // understands Options.Transaction
	follows      bool // understands Options.Follow
}

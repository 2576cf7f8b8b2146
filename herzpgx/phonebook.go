package herzpgx

import (
	"cmp"
	"context"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// pagesKept bounds the addresses that a phonebook remembers.
const pagesKept = 256

// phonebook remembers by which name an address was found: pgx resolves names before it dials, so that the dial hook sees addresses only.
type phonebook struct {
	lookup pgconn.LookupFunc
	by     *net.Resolver // in place of lookup, when it is set

	// mu guards names. Nothing is called under it.
	mu    sync.Mutex
	names map[string]string
}

func (p *phonebook) resolve(ctx context.Context, host string) ([]string, error) {
	lookup := p.lookup
	switch {
	case p.by != nil:
		lookup = p.by.LookupHost
	case lookup == nil:
		lookup = net.DefaultResolver.LookupHost
	}
	addrs, err := lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil || len(p.names) > pagesKept {
		p.names = map[string]string{}
	}
	for _, a := range addrs {
		p.names[a] = host
	}
	return addrs, nil
}

// name gives the host name of an address with a port, as a lookup found it with or without the port; empty when it is not known.
func (p *phonebook) name(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.names[addr], p.names[host])
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"herz.example/herz/faultlab/server"
)

// onServers starts the servers that the rows need, measures, and takes everything away again.
func (r *report) onServers(ctx context.Context, log io.Writer) (err error) {
	defer func() { err = errors.Join(err, server.CleanUp()) }()
	open := map[server.Kind][]*subject{}
	for _, k := range r.kinds() {
		_, _ = fmt.Fprintf(log, "starting %v\n", k)
		s, err := server.Open(k, server.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // what is left is swept away by the next run
		if r.Servers[k.String()], err = fill(ctx, k, s.DSN()); err != nil {
			return err
		}
		list, err := subjects(ctx, k, s.DSN())
		if err != nil {
			return err
		}
		defer func() { _ = closeAll(list) }() // every answer has been counted
		open[k] = list
	}
	return r.collect(ctx, open, log)
}

// kinds are the servers that the rows need.
func (r *report) kinds() []server.Kind {
	var list []server.Kind
	for _, k := range server.Kinds {
		for _, w := range r.Rows {
			if w.kind == k {
				list = append(list, k)
				break
			}
		}
	}
	return list
}

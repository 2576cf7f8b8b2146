package pool_test

import (
	"context"
	"testing"

	"herz.example/herz/pool"
)

func benchPool(b *testing.B, most int) *pool.Pool[*fake] {
	b.Helper()
	p := newPool(b, &fakeServer{}, func(c *pool.Config[*fake]) {
		c.Ping = nil
		c.Limits = pool.Limits{MaxOpen: most}
	})
	l := acquire(b, p)
	l.Release()
	return p
}

func BenchmarkUncontended(b *testing.B) {
	p := benchPool(b, 8)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		l, err := p.Acquire(ctx)
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}

func BenchmarkParallel16(b *testing.B) {
	p := benchPool(b, 8)
	ctx := context.Background()
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := p.Acquire(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}

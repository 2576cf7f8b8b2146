package registry_test

import (
	"fmt"

	"herz.example/herz/registry"
)

// A client comes back before the server has cleaned up after its old connection.
func Example() {
	type session struct {
		Node     string
		LastSeen int
	}
	var clients registry.Registry[string, session]

	old, _, _ := clients.Put("c1001", session{Node: "a"})
	_, before, replaced := clients.Put("c1001", session{Node: "b"})
	fmt.Println("replaced:", replaced, before.Node)

	fmt.Println("late heartbeat:", old.Update(func(s session) session { s.LastSeen++; return s }))
	fmt.Println("late cleanup:", old.Delete())
	now, ok := clients.Load("c1001")
	fmt.Println("connected:", ok, now.Node)
	// Output:
	// replaced: true a
	// late heartbeat: false
	// late cleanup: false
	// connected: true b
}

// An evictor ends what was not seen for long, and spares what is seen while it looks.
func ExampleEntry_DeleteIf() {
	var seen registry.Registry[string, int]
	seen.Put("quiet", 10)
	seen.Put("busy", 90)
	for e := range seen.All() {
		e.DeleteIf(func(last int) bool { return last < 50 })
	}
	for e, last := range seen.All() {
		fmt.Println(e.Key(), last)
	}
	// Output: busy 90
}

// Several connections share the record of the peer they lead to; the last one to leave ends it.
func ExampleRegistry_Join() {
	var peers registry.Registry[string, int] // connections by peer
	a, _ := peers.Join("db-1:5432", 0)
	b, joined := peers.Join("db-1:5432", 0)
	fmt.Println("joined:", joined)
	for _, s := range []*registry.Share[string, int]{a, b} {
		s.Entry().Update(func(n int) int { return n + 1 })
	}
	fmt.Println(peers.Load("db-1:5432"))
	fmt.Println("last:", a.Leave(), b.Leave())
	fmt.Println("left:", peers.Len())
	// Output:
	// joined: true
	// 2 true
	// last: false true
	// left: 0
}

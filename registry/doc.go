// Package registry keeps who is connected to what: metadata by a key that comes back, such as a peer, a client or an address.
//
// # Contract
//
// Each entry has an identity of its own, beside its key. Whoever makes one gets an *[Entry], and everything that changes or removes
// does so through that: the late [Entry.Delete] of an old connection never removes what its successor put under the same key, and its late
// heartbeat ([Entry.Store]) never brings the old one back; both report false.
//
// A value is replaced as a whole and never changed in place. [Entry.Update] and [Entry.DeleteIf] decide on the value that is there when
// they take effect: an evictor whose entry was refreshed in the meantime looks again, and spares it.
//
// [Registry.Join] is get-or-create: exactly one caller makes the entry, and it stays while one [Share] of it is held, so that it cannot
// vanish between being found and being used.
//
// An entry leaves nothing behind when it ends. There is at most one for each key, so that memory is bounded by what is connected.
//
// # Why not Delete by key
//
// A map's Delete(key) removes what is there now, not what the caller saw; LoadOrStore gives back what is there, even when it is what
// somebody is about to delete. Each is safe, their combination is not: a connection that comes back while its predecessor is cleaned up is
// registered, told so, and removed. No lock inside the map helps, because the mistake lies between two calls.
//
// # Why sync.Map
//
// It compares and swaps pointers, which is all that identity needs; reads take no lock and allocate nothing; and since Go 1.24 it is a
// tree that gives memory back when entries go, where a built-in map, sharded or not, stays as large as on its worst day. The price is
// that [Registry.All] is no picture of one moment across keys: each key is seen at most once, as it was at some time during the loop, and a key that was
// there all the while is seen.
//
// # Not a goal
//
// It has no clock and evicts nothing by itself, does not limit how many keys there are (the number of connections does), and calls
// nobody when an entry ends.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. There is no lock and no goroutine. Functions that are given to Update and DeleteIf
// may use the registry; they can be called more than once, so they should do nothing but compute.
package registry

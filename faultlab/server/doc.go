// Package server starts real servers, private to this process: MariaDB, PostgreSQL and Redis, and HAProxy, nginx, Envoy and PgBouncer to
// stand before them. Each has a temporary folder, and an address and port that nobody else uses.
//
// # Contract
//
// [Open] returns when the server answers; after [Server.Close] the server, its folder and all its processes are gone ([Start] is the
// same for a test). A server never runs as root: root starts it under an account without rights. The server dies with
// this process, however that ends; the folder that it leaves then is removed by the next [Open], or by [Sweep]. The data of
// a kind is prepared once in a process and copied; [CleanUp] removes it. At most [Most] servers run in one process.
//
// Two accounts need no password: the owner, "herz", who may do everything, and "client", who may read and write but not where the server is
// read-only. A server is reached only from this machine, on loopback or in a namespace.
//
// # Not a goal
//
// Data is not safe against a crash of the machine, only of the server.
//
// # Concurrency
//
// Servers are independent of each other. The methods of one are called by one goroutine at a time.
package server

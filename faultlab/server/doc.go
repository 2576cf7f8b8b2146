// Package server starts real database servers for one test each: MariaDB and PostgreSQL, private, in a temporary folder,
// on an address and port that nobody else uses.
//
// # Contract
//
// [Start] returns when the server answers, and the server, its folder and all its processes are gone when the test has
// ended. A server never runs as root: root starts it under an account without rights. The server dies with the process of
// the test, however that ends. The data of a kind is prepared once in a process and copied; [CleanUp] in TestMain removes it.
//
// # Not a goal
//
// Data is not safe against a crash of the machine, only of the server.
//
// # Concurrency
//
// Servers are independent of each other. The methods of one are called by one goroutine at a time.
package server

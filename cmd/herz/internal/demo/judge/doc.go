// Package judge decides what each request was worth, and at the end who kept the promise.
//
// # Contract
//
// An answer is right, wrong, empty or an error by what the user of the HTTP service sees, and by nothing else. A request to add is a
// duplicate when the server executed it more than once, and wrong when it was acknowledged and never executed. The verdict is
// computed from these counts only.
//
// # Not a goal
//
// It asks no server and sends nothing: what servers know is given to it.
//
// # Concurrency
//
// A [Book] may be used by any number of goroutines. It starts none.
package judge

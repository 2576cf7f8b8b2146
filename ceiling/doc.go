// Package ceiling learns after how long idle connections are closed by somebody else: a server's idle time-out, or that of a balancer or proxy on the
// way. It is what people find by hand, with a histogram and a guess.
//
// # Contract
//
// A [Learner] is given to pools as an observer, beside others by pool.Tee. For each peer it keeps how old, without a byte in either direction,
// connections were when the peer closed them. When the newest ages agree it says so, with its evidence ([Lesson]); where it is allowed to
// ([Config.Apply]) it sets the pool's MaxIdleTime to 0.8 of it, so that Herz closes first. It never sets less than a floor, never more than what is set, and
// takes it back when it is contradicted: by ages that no longer agree, or by a connection that rests for longer and lives.
//
// Connections that end within the same moment are one observation, and none at all where their ages differ: that is a restart, not a
// time-out. Silence that is found by a ping tells nothing about its beginning, so that flows dropped without a word are not learned from.
//
// # Not a goal
//
// Advice before anything has died: that is what a check of the path is for.
//
// # Concurrency
//
// A Learner may be used from any goroutine. It starts one that ends by itself when limits have to be set.
package ceiling

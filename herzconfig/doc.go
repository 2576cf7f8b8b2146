// Package herzconfig reads herz-config.yaml, opens the databases it names, and follows the file while they run.
//
// # Contract
//
//   - [Parse] finds all that is wrong with a file at once, each with line, column and what to change, and never panics.
//   - A key that does nothing where it stands is an error. No value of the environment and no data source name stands in an error or a log.
//   - [Open] gives a genuine *sql.DB for each pool. A file that changes is read, checked against every open pool, and then put in force as a whole or not at
//     all; what is in force is one file as it once was, never a mixture.
//   - A file that cannot be put in force leaves everything as it was, and says so: a warning in the log, and [Config].OnReload.
//
// docs/config.md has every key.
//
// # Not a goal
//
// It opens nothing by itself when a pool is added to the file, and changes no address of a running program: that needs a restart, and is reported.
//
// # Concurrency
//
// All functions and methods may be called by any number of goroutines. A [Settings] never changes. A [Watcher] has one goroutine, and fsnotify's; both
// end with Close.
package herzconfig

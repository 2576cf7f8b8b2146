// Package trial is the suite that every example has to pass, on private MariaDB and PostgreSQL servers.
//
// # Contract
//
// [InEveryMode] wants the same output, and exit code 0, however the database is opened. [ThroughRestarts] wants the same once more while the server
// is killed and started again before some of the steps. Both leave no goroutine and no server behind, provided that TestMain calls [Main].
//
// # Not a goal
//
// What is right is said by package story.
//
// # Concurrency
//
// The products are tried side by side.
package trial

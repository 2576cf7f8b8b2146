// Package e2e tests Herz against real servers and real faults: MariaDB, PostgreSQL, a network namespace whose packets are
// dropped, and Chromium.
//
// # Contract
//
// Its rooms start what a test needs, private to the test, on a free port or in a namespace of its own, and take it away
// again, also when the test fails. What a crashed run left behind is removed by the next one. tools/setup.sh installs the
// programs. A test that cannot run fails and names what it needs; none is skipped.
//
// # Not a goal
//
// It is no lab for users, and measures no throughput. It runs on Linux only; elsewhere there is nothing in it.
//
// # Concurrency
//
// Tests may run side by side, and so may several runs on one machine.
package e2e

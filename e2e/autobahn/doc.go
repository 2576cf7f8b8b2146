// Command autobahn holds herzws against the Autobahn test suite: the server in both engines, and the client.
//
// # Contract
//
// Each case that concerns herzws is run, and each that is not passed is named with its section; exit code 1 then. Cases of extensions that herzws does not
// have (12 and 13, permessage-deflate) are left out.
//
// # Not a goal
//
// It is no part of the tests that run with every change: those are herzws's own (rfc_test.go). The suite is for a Python that few systems have;
// tools/autobahn.sh fetches it.
//
// # Concurrency
//
// Servers and the suite's process are ended when the command ends, by a signal too.
package main

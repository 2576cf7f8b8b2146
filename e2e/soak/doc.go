// Package soak has the long tests for false alarms: databases behind paths that are bad, and never gone, used for a long time in both modes
// of herzsql. No connection may be ended, no call may fail, and what the clients were told is counted again on the server.
//
// # Contract
//
// As part of all tests each soak runs for some seconds, so that it works when it is needed. "make soak" runs each for ten minutes in a
// process of its own, side by side, prints a table and writes the report as JSON. Each has servers and a network of its own.
//
// # Not a goal
//
// Faults that are to be noticed are in package e2e.
//
// # Concurrency
//
// All soaks run at once.
package soak

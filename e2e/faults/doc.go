// Command faults breaks connections to real servers in every way that the project promises something about, looks what each client does
// then, without Herz and with it, and holds Herz against the promise.
//
// # Contract
//
// A fault is set up, made, and judged by what is on the servers afterwards: rows, numbers of acknowledged writes, duplicates, connections
// in front of them. Nothing is tried again silently. A fault that could not be made is a failure, and so is a missed bar: exit code 1. Servers and
// networks are those of package faultlab, private to the run, and go with it. It needs root.
//
// # Not a goal
//
// It measures no throughput, and is no tool for users' own servers.
//
// # Concurrency
//
// All clients of one product meet one fault together. Two faults at once do not disturb each other, but for the processor.
package main

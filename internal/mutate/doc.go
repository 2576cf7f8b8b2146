// Command mutate checks the tests: it breaks the code of a package in one place at a time, and a test has to fail each time. See
// docs/mutation.md.
package main

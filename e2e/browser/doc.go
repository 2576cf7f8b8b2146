// Package browser opens a page in a real Chromium, without a window, and tells what the page shows, complains about and
// asks for.
//
// # Contract
//
// [Open] returns when the page has loaded. The browser, its profile and its processes are gone when the test has ended. All
// waits are bounded. It finds Chromium or Chrome in PATH and fails the test that has not got one.
//
// # Not a goal
//
// It is no driver for clicks: what cannot be done with the keyboard is not done.
//
// # Concurrency
//
// Each page has a browser of its own. The methods of one may be called by any number of goroutines.
package browser

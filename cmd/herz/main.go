// Command herz is the engineer's tool of Herz.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"herz.example/herz/cmd/herz/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it the hard way
	code := cli.Main(ctx, cli.System{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv})
	stop()
	os.Exit(code)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"herz.example/herz/bench/record"
)

// yardPairs and yardRounds are how many connections the yardstick has, so that they do not all lie in a cache, and how often it goes round.
const (
	yardPairs  = 500
	yardRounds = 40
)

// yardstick is the processor time of a write and a read on loopback, of two bytes: the least that a ping and its pong can cost. An hour in which the
// machine is slow is seen by it, because it has nothing of what is measured in it.
func yardstick() (each time.Duration, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	var ours, theirs []net.Conn
	defer func() {
		err = errors.Join(err, l.Close())
		for _, nc := range append(ours, theirs...) {
			_ = nc.Close()
		}
	}()
	for range yardPairs {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return 0, fmt.Errorf("the yardstick's connections: %w", err)
		}
		ours = append(ours, nc)
		if nc, err = l.Accept(); err != nil {
			return 0, fmt.Errorf("the yardstick's connections: %w", err)
		}
		theirs = append(theirs, nc)
		if err = nc.SetReadDeadline(time.Now().Add(stepTime)); err != nil {
			return 0, err
		}
	}
	cpu := record.CPUTime()
	for range yardRounds {
		if err = exchange(ours, theirs); err != nil {
			return 0, err
		}
	}
	return (record.CPUTime() - cpu) / (yardPairs * yardRounds), nil
}

// exchange writes to all, and then reads from all.
func exchange(ours, theirs []net.Conn) error {
	b := [2]byte{0x89, 0}
	for _, nc := range ours {
		if _, err := nc.Write(b[:]); err != nil {
			return err
		}
	}
	for _, nc := range theirs {
		if _, err := io.ReadFull(nc, b[:]); err != nil {
			return err
		}
	}
	return nil
}

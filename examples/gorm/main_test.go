//go:build linux

package main

import (
	"testing"

	"go.uber.org/goleak"

	"herz.example/herz/examples/trial"
)

func TestMain(m *testing.M) {
	// gorm's store of prepared statements has a goroutine that never ends, one for each gorm.Open; it says so itself.
	trial.Main(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

func TestGormCannotTellHowItsDatabaseWasOpened(t *testing.T) { trial.InEveryMode(t, open) }

func TestGormHearsNothingOfARestartBetweenTwoSteps(t *testing.T) { trial.ThroughRestarts(t, open) }

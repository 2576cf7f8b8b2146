//go:build linux

package main

import (
	"testing"

	"herz.example/herz/examples/trial"
)

func TestMain(m *testing.M) { trial.Main(m) }

func TestSqlxCannotTellHowItsDatabaseWasOpened(t *testing.T) { trial.InEveryMode(t, open) }

func TestSqlxHearsNothingOfARestartBetweenTwoSteps(t *testing.T) { trial.ThroughRestarts(t, open) }

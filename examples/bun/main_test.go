//go:build linux

package main

import (
	"testing"

	"herz.example/herz/examples/trial"
)

func TestMain(m *testing.M) { trial.Main(m) }

func TestBunCannotTellHowItsDatabaseWasOpened(t *testing.T) { trial.InEveryMode(t, open) }

func TestBunHearsNothingOfARestartBetweenTwoSteps(t *testing.T) { trial.ThroughRestarts(t, open) }

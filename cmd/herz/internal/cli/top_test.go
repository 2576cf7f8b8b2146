package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"herz.example/herz/cmd/herz/internal/cli"
)

func TestTopPrintsOneScreenWhereThereIsNoTerminal(t *testing.T) {
	p := serve(t, false)
	for _, args := range [][]string{{"top", p.addr}, {"top", "--once", "--addr", p.addr}} {
		code, out, errText := p.run(args...)
		if code != cli.Good || errText != "" {
			t.Fatalf("%v: exit code %d, %s", args, code, errText)
		}
		for _, want := range []string{"herz top", "users", "orders", "3 connections, oldest first", "▁▁▁", "No connection has ended"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", args, want, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%v: an escape where there is no terminal", args)
		}
	}
}

func TestTopGivesTheSnapshotAsJSON(t *testing.T) {
	p := serve(t, false)
	code, out, errText := p.run("top", "--once", "-o", "json", p.addr)
	var s struct {
		Schema  int
		Sources []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &s); code != cli.Good || err != nil || s.Schema != 1 || len(s.Sources) != 2 {
		t.Errorf("exit code %d, %v, %s: %s", code, err, errText, out)
	}
}

func TestTopSaysWhatToChange(t *testing.T) {
	p := serve(t, false)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"top", "127.0.0.1:1"}, cli.Failed, "nothing listens"},
		{[]string{"top", "a", "b"}, cli.Usage, "takes one address"},
		{[]string{"top", "--every", "1ms"}, cli.Usage, "--every"},
		{[]string{"top", "-o", "json"}, cli.Usage, "--once"},
		{[]string{"top", "-o", "xml"}, cli.Usage, "text or json"},
		{[]string{"top", "--token", "x"}, cli.Usage, "--token-file FILE"},
		{[]string{"top", "--nonsense"}, cli.Usage, "herz top --help"},
		{[]string{"top", "nowhere"}, cli.Usage, "host:port"},
	} {
		if code, _, errText := p.run(c.args...); code != c.code || !strings.Contains(errText, c.want) {
			t.Errorf("%v: exit code %d, %q; want %d and %q", c.args, code, errText, c.code, c.want)
		}
	}
	if code, out, _ := p.run("top", "--help"); code != cli.Good || !strings.Contains(out, "Examples:") {
		t.Errorf("--help: exit code %d, %s", code, out)
	}
}

package top

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeysAndMouseChooseThePoolWithinTheList(t *testing.T) {
	m := &model{ctx: context.Background(), every: time.Hour, width: 200, height: 50}
	m.Update(seen{snapshot: shop()})
	for _, c := range []struct {
		msg  tea.Msg
		want int
	}{
		{tea.KeyPressMsg{Code: tea.KeyDown}, 1},
		{tea.KeyPressMsg{Code: tea.KeyDown}, 1},
		{tea.KeyPressMsg{Code: 'k', Text: "k"}, 0},
		{tea.MouseWheelMsg{Button: tea.MouseWheelDown}, 1},
		{tea.MouseWheelMsg{Button: tea.MouseWheelUp}, 0},
		{tea.MouseClickMsg{Y: firstRow + 1}, 1},
		{tea.MouseClickMsg{Y: firstRow + 2}, 1},
		{tea.MouseClickMsg{Y: 0}, 1},
		{tea.KeyPressMsg{Code: tea.KeyHome}, 0},
	} {
		m.Update(c.msg)
		if m.selected != c.want {
			t.Errorf("after %v the pool %d is chosen, not %d", c.msg, m.selected, c.want)
		}
	}
	lines := strings.Split(m.screen(), "\n")
	if !strings.HasPrefix(lines[firstRow], "> orders") {
		t.Errorf("a click would choose another pool than the one on its line: %q", lines[firstRow])
	}
}

func TestBoardThatCannotBeReadIsToldAndTheLastScreenStays(t *testing.T) {
	m := &model{ctx: context.Background(), every: time.Hour, width: 200}
	if m.screen() != "asking the board…" {
		t.Errorf("before the first answer: %q", m.screen())
	}
	m.Update(seen{snapshot: shop()})
	m.Update(seen{err: errors.New("nothing listens\x1b[2J")})
	if text := m.screen(); !strings.Contains(text, "orders") || !strings.Contains(text, "cannot be read: nothing listens·[2J") {
		t.Errorf("%s", text)
	}
}

func TestPauseStopsTheQuestions(t *testing.T) {
	var asked atomic.Int64
	m := &model{ctx: context.Background(), every: time.Nanosecond, ask: func(context.Context) (*Snapshot, error) {
		asked.Add(1)
		return shop(), nil
	}}
	m.Update(tea.KeyPressMsg{Code: 'p', Text: "p"})
	if _, next := m.Update(due{}); next == nil || next() != (due{}) || asked.Load() != 0 {
		t.Error("paused, and the board is asked")
	}
	m.Update(tea.KeyPressMsg{Code: 'p', Text: "p"})
	_, next := m.Update(due{})
	if answer, ok := next().(seen); !ok || answer.snapshot == nil {
		t.Error("after the pause the board is not asked")
	}
}

func TestProgramEndsWithQAndWithItsContext(t *testing.T) {
	ask := func(context.Context) (*Snapshot, error) { return shop(), nil }
	var out bytes.Buffer
	if err := Run(t.Context(), ask, time.Millisecond, false, strings.NewReader("q"), &out); err != nil {
		t.Errorf("q: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	in, hold := io.Pipe()
	defer hold.Close()
	if err := Run(ctx, ask, time.Millisecond, false, in, io.Discard); err != nil {
		t.Errorf("the end of the context: %v", err)
	}
}

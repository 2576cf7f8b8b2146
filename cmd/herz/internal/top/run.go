package top

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Ask gives a snapshot of the board, within its own bound.
type Ask func(ctx context.Context) (*Snapshot, error)

// Run shows the board until somebody presses q or ctx ends. An error is what the terminal cannot do; that the board cannot be reached stands on the
// screen, and it is asked again.
func Run(ctx context.Context, ask Ask, every time.Duration, color bool, in io.Reader, out io.Writer) error {
	m := &model{ctx: ctx, ask: ask, every: every, color: color}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil // that is how it is ended
	}
	return err
}

// model is what is on the screen. It belongs to the program's loop.
type model struct {
	ctx   context.Context //nolint:containedctx // of the whole program; commands are run without one
	ask   Ask
	every time.Duration
	color bool

	now, before   *Snapshot
	err           error
	selected      int
	width, height int
	paused        bool
}

// seen is the answer of the board.
type seen struct {
	snapshot *Snapshot
	err      error
}

type due struct{}

// Init asks for the first time.
func (m *model) Init() tea.Cmd { return m.look }

func (m *model) look() tea.Msg {
	s, err := m.ask(m.ctx)
	return seen{s, err}
}

// Update heeds one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case seen:
		return m, m.take(msg)
	case due:
		if m.paused {
			return m, m.later()
		}
		return m, m.look
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	case tea.MouseWheelMsg:
		if msg.Button == tea.MouseWheelUp {
			m.move(-1)
		} else {
			m.move(1)
		}
	case tea.MouseClickMsg:
		if row := msg.Y - firstRow; m.now != nil && row >= 0 && row < len(m.now.Sources) {
			m.selected = row
		}
	}
	return m, nil
}

// firstRow is the line of the first pool on the screen, see Render.
const firstRow = 2

func (m *model) take(s seen) tea.Cmd {
	m.err = s.err
	if s.err == nil {
		m.before, m.now = m.now, s.snapshot
		m.move(0)
	}
	return m.later()
}

func (m *model) later() tea.Cmd {
	return tea.Tick(m.every, func(time.Time) tea.Msg { return due{} })
}

func (m *model) press(key string) tea.Cmd {
	switch key {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "home", "g":
		m.move(-m.selected)
	case "end", "G":
		if m.now != nil {
			m.move(len(m.now.Sources))
		}
	case "p", "space":
		m.paused = !m.paused
	}
	return nil
}

func (m *model) move(by int) {
	most := 0
	if m.now != nil {
		most = max(len(m.now.Sources)-1, 0)
	}
	m.selected = min(max(m.selected+by, 0), most)
}

// View draws the screen.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen, v.MouseMode, v.WindowTitle = true, tea.MouseModeCellMotion, "herz top"
	return v
}

func (m *model) screen() string {
	note := "q quits · ↑ ↓, wheel or click: another pool · p pauses"
	switch {
	case m.err != nil:
		note = "the board cannot be read: " + clean(m.err.Error())
	case m.paused:
		note = "paused; p goes on"
	}
	if m.now == nil {
		if m.err == nil {
			note = "asking the board…"
		}
		return note
	}
	return Render(m.now, m.before, Screen{Width: m.width, Height: m.height, Color: m.color, Selected: m.selected, Note: note})
}

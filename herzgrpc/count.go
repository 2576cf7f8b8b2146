package herzgrpc

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

// otherMethod counts methods that are not counted by name.
const otherMethod = "other"

// CallCount is how many calls of one method ended in one way.
type CallCount struct {
	Method string             // package.Service/Method, or other
	Code   codes.Code         // what the caller got
	Class  Class              // how far it came
	State  connectivity.State // of the channel when the call began
	Calls  uint64
}

// method counts the calls of one method.
type method struct {
	name  string
	cells [numCodes][numClasses][numStates]atomic.Uint64
	sets  [numCodes]atomic.Pointer[[]metric.RecordOption] // attributes of the duration, made when they are needed first
}

// methods are all that were seen, by the name that calls have ("/package.Service/Method").
type methods struct {
	byName sync.Map // string → *method
	most   int64
	seen   atomic.Int64
	other  method
}

// of gives the method's counters.
func (m *methods) of(name string, static bool) *method {
	if !static {
		return &m.other
	}
	if found, ok := m.byName.Load(name); ok {
		return found.(*method)
	}
	if m.seen.Add(1) > m.most {
		m.seen.Add(-1)
		return &m.other
	}
	found, twice := m.byName.LoadOrStore(name, &method{name: plainName(name)})
	if twice {
		m.seen.Add(-1)
	}
	return found.(*method)
}

// plainName is the method's name without the slash before it.
func plainName(name string) string {
	if name != "" && name[0] == '/' {
		return name[1:]
	}
	return name
}

// all gives every count that is not zero, in the order of names.
func (m *methods) all() []CallCount {
	var list []CallCount
	add := func(one *method) {
		for code := range numCodes {
			for class := range numClasses {
				for state := range numStates {
					if n := one.cells[code][class][state].Load(); n > 0 {
						list = append(list, CallCount{one.name, codes.Code(code), Class(class), connectivity.State(state), n}) //nolint:gosec // all are small
					}
				}
			}
		}
	}
	m.byName.Range(func(_, one any) bool {
		add(one.(*method))
		return true
	})
	add(&m.other)
	slices.SortStableFunc(list, func(a, b CallCount) int { return cmp.Compare(a.Method, b.Method) })
	return list
}

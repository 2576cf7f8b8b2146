package script_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"herz.example/herz/cmd/herz/internal/demo/script"
)

func names(p script.Plan) string {
	var all []string
	for _, e := range p.Events {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func TestTheWholeScriptIsDoneWellWithinNinetySeconds(t *testing.T) {
	for seed := range uint64(50) {
		p := script.Once(script.All(), 0, seed)
		if names(p) != "outage idle-close half-open black-hole freeze lost-answers" {
			t.Fatalf("the script is %s", names(p))
		}
		if p.Length > 75*time.Second {
			t.Fatalf("seed %d takes %v", seed, p.Length)
		}
		for i, e := range p.Events[1:] {
			if e.Start <= p.Events[i].End {
				t.Fatalf("seed %d: %s begins at %v, before %s ended at %v", seed, e.Name, e.Start, p.Events[i].Name, p.Events[i].End)
			}
		}
	}
}

func TestTheSameSeedIsTheSamePlan(t *testing.T) {
	starts := func(seed uint64) (s []time.Duration) {
		for _, e := range script.Once(script.All(), 0, seed).Events {
			s = append(s, e.Start)
		}
		return s
	}
	one, again, two := starts(1), starts(1), starts(2)
	differ := false
	for i := range one {
		if one[i] != again[i] {
			t.Fatalf("fault %d begins at %v and at %v", i, one[i], again[i])
		}
		differ = differ || one[i] != two[i]
	}
	if !differ {
		t.Fatal("another seed is the same plan")
	}
}

func TestALengthRepeatsAndCutsTheScript(t *testing.T) {
	faults, err := script.Choose([]string{"freeze", "idle-close"})
	if err != nil {
		t.Fatal(err)
	}
	p := script.Once(faults, 25*time.Second, 1)
	if names(p) != "freeze idle-close freeze" || p.Length != 25*time.Second {
		t.Fatalf("%s in %v", names(p), p.Length)
	}
	if last := p.Events[2]; last.End != 25*time.Second {
		t.Fatalf("the last fault ends at %v", last.End)
	}
	if p = script.Once(faults, 2*time.Second, 1); len(p.Events) == 0 {
		t.Fatal("a short run shows no fault")
	}
}

func TestAnUnknownFaultIsNamedWithTheOneThatWasMeant(t *testing.T) {
	for given, meant := range map[string]string{"blackhole": "black-hole", "freez": "freeze", "idle_close": "idle-close", "earthquake": ""} {
		_, err := script.Choose([]string{"outage", given})
		var unknown *script.UnknownFaultError
		if !errors.As(err, &unknown) || unknown.Name != given {
			t.Fatalf("%q: got %v", given, err)
		}
		text := err.Error()
		if meant != "" && !strings.Contains(text, `did you mean "`+meant+`"?`) {
			t.Errorf("%q: no hint in %q", given, text)
		}
		if meant == "" && strings.Contains(text, "did you mean") || !strings.Contains(text, "half-open") {
			t.Errorf("%q: %q", given, text)
		}
	}
}

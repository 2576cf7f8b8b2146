package record_test

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"herz.example/herz/bench/record"
)

func TestBoundsLieOnTheirSideOfTheTrueMedianInNineteenOfTwentyRuns(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{5, 25, 50, 200} {
		const runs = 4000
		above, below := 0, 0
		for range runs {
			list := make([]float64, n)
			for i := range list {
				list[i] = dice.ExpFloat64() // its median is ln 2, far from symmetric
			}
			low, high, ok := record.Bounds(list)
			if !ok || low > high {
				t.Fatalf("%d values: bounds %v and %v, %v", n, low, high, ok)
			}
			if low > 0.6931471805599453 {
				above++
			}
			if high < 0.6931471805599453 {
				below++
			}
		}
		// At most 5 % each; and not a tenth of that either, or the bounds would be too wide to say anything. Of 5 values it is 1 in 32.
		for side, wrong := range map[string]int{"lower": above, "upper": below} {
			if wrong > runs*6/100 || wrong < runs*2/100 {
				t.Errorf("%d values: the %s bound was wrong in %d of %d runs", n, side, wrong, runs)
			}
		}
	}
}

func TestFewValuesHaveNoBounds(t *testing.T) {
	for n := range 5 {
		if low, high, ok := record.Bounds(make([]float64, n)); ok {
			t.Errorf("%d values have the bounds %v and %v", n, low, high)
		}
	}
}

func TestMedianAndQuantileOfListsLongAndEmpty(t *testing.T) {
	for _, c := range []struct{ got, want float64 }{
		{record.Median(nil), 0},
		{record.Median([]float64{3, 1, 2}), 2},
		{record.Median([]float64{4, 1, 2, 3}), 2.5},
		{record.Quantile(nil, .99), 0},
		{record.Quantile([]float64{1, 2, 3, 4}, .5), 3},
		{record.Quantile([]float64{1, 2, 3, 4}, 1), 4},
	} {
		if c.got != c.want {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

func TestVerdictKnowsWhichWayIsBetter(t *testing.T) {
	for _, c := range []struct {
		atLeast  bool
		measured float64
		windows  int
		want     string
	}{
		{false, .5, 9, "aim met"},
		{false, .9, 9, "met"},
		{false, 1.1, 9, "missed"},
		{false, .5, 0, "no valid window"},
		{true, 1.5, 9, "aim met"},
		{true, 1.1, 9, "met"},
		{true, .9, 9, "missed"},
	} {
		f := record.Finding{Must: 1, Aim: .7, AtLeast: c.atLeast}
		if c.atLeast {
			f.Aim = 1.3
		}
		f = f.Settle(c.measured, c.windows)
		if f.Verdict != c.want {
			t.Errorf("%+v: want %s", f, c.want)
		}
		if bad := c.want == "missed" || c.want == "no valid window"; record.Missed([]record.Finding{{Verdict: "met"}, f}) != bad {
			t.Errorf("%+v: missed is not %v", f, bad)
		}
		var b strings.Builder
		record.Targets(&b, []record.Finding{f}, "pairs")
		if sign := map[bool]string{true: "| ≥ 1 |", false: "| ≤ 1 |"}[c.atLeast]; !strings.Contains(b.String(), sign) {
			t.Errorf("%q is missing in\n%s", sign, &b)
		}
	}
}

func TestResultsAreWrittenAndAFolderThatCannotBeIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := (record.Results{Name: "x", Table: "text"}).Put(dir, "text", io.Discard); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "x.md")); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
	if err := (record.Results{Name: "y"}).Put(filepath.Join(dir, "x.md"), "text", io.Discard); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestMachineTellsWhereItRan(t *testing.T) {
	m := record.Here()
	m.Took = "1s"
	for _, want := range []string{m.Go, "in 1s", "GOMAXPROCS", m.System} {
		if !strings.Contains(m.String(), want) {
			t.Errorf("%q is missing in %q", want, m.String())
		}
	}
}

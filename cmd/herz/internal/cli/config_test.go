package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"herz.example/herz/cmd/herz/internal/cli"
	"herz.example/herz/herzconfig"
)

// configFile writes a file and gives its path.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "herz-config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadConfigCommandIsOneSentenceThatSaysWhatToDo(t *testing.T) {
	for line, says := range map[string]string{
		"config":                         "herz config validate FILE",
		"config check":                   "herz config validate",
		"config validate":                "herz config validate herz-config.yaml",
		"config validate -o yaml f":      "text or json",
		"config validate --unset f":      "--help",
		"config schema herz-config.yaml": "takes nothing",
		"konfig":                         "herz config",
	} {
		t.Run(line, func(t *testing.T) {
			var out, errs screen
			code := herz(t.Context(), &out, &errs, strings.Fields(line)...)
			said := errs.String()
			if code != cli.Usage || out.String() != "" || !strings.Contains(said, says) || strings.Count(said, "\n") != 1 {
				t.Fatalf("exit %d, out %q, err %q; want exit 2 and one line with %q", code, out.String(), said, says)
			}
		})
	}
}

func TestValidateNamesEveryErrorWithItsPlace(t *testing.T) {
	bad := configFile(t, "pool:\n  maxOpn: 20\n  heartbeatTimeoutMs: 3s\n")
	good := configFile(t, "pool:\ntestOnBorrow: true\n")
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "config", "validate", bad, good); code != cli.Usage || errs.String() != "" {
		t.Errorf("exit %d, err %q", code, errs.String())
	}
	for _, want := range []string{
		bad + ":2:3: error: there is no key maxOpn of a pool; did you mean maxOpen?\n",
		bad + ":3:23: error: heartbeatTimeoutMs is \"3s\": it has to be a whole number from 1 to 3600000, without a unit; did you mean 3000?\n",
		bad + ": not valid, 2 errors\n",
		good + ":1:1: warning: pool: is empty",
		"\npool:\n  testOnBorrow: true\n",
		good + ": valid, 1 pool, 1 warning\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b[") {
		t.Error("colours without a terminal")
	}
	var alone screen
	if code := herz(t.Context(), &alone, &errs, "config", "validate", good); code != cli.Good {
		t.Errorf("a file with a warning: exit %d", code)
	}
}

// configReport is the contract of -o json, to the letter.
type configReport struct {
	Valid *bool `json:"valid"`
	Files []struct {
		File     string   `json:"file"`
		Valid    *bool    `json:"valid"`
		Pools    []string `json:"pools"`
		Problems []struct {
			File     string `json:"file"`
			Line     int    `json:"line"`
			Column   int    `json:"column"`
			Severity string `json:"severity"`
			Key      string `json:"key"`
			Message  string `json:"message"`
		} `json:"problems"`
	} `json:"files"`
}

func TestValidateSpeaksJSON(t *testing.T) {
	bad := configFile(t, "pools:\n  orders:\n    mode: guarded\n    minIdle: 2\n")
	good := configFile(t, "pools:\n  orders: {maxOpen: '${HERZ_TEST_NO_SUCH_VARIABLE}'}\n")
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "config", "validate", "--allow-unset", "-o", "json", bad, good); code != cli.Usage || errs.String() != "" {
		t.Errorf("exit %d, err %q", code, errs.String())
	}
	var r configReport
	d := json.NewDecoder(strings.NewReader(out.String()))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.More() || *r.Valid || len(r.Files) != 2 {
		t.Fatalf("%v in %s", err, out.String())
	}
	if f := r.Files[0]; *f.Valid || f.Pools == nil || len(f.Problems) != 1 || f.Problems[0].Line != 4 || f.Problems[0].Column != 5 ||
		f.Problems[0].Severity != "error" || f.Problems[0].Key != "pools.orders.minIdle" || f.Problems[0].File != bad || f.File != bad {
		t.Errorf("got %s", out.String())
	}
	if f := r.Files[1]; !*f.Valid || f.Problems == nil || len(f.Problems) != 0 || len(f.Pools) != 1 || f.Pools[0] != "orders" {
		t.Errorf("got %s", out.String())
	}
}

func TestFileThatIsNotThereIsBadInput(t *testing.T) {
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "config", "validate", filepath.Join(t.TempDir(), "none.yaml")); code != cli.Usage {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(out.String(), "none.yaml:1:1: error: the file cannot be read") {
		t.Errorf("said %s%s", out.String(), errs.String())
	}
}

func TestSchemaIsPrintedAndHelpHasExamples(t *testing.T) {
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "config", "schema"); code != cli.Good || !bytes.Equal([]byte(out.String()), herzconfig.Schema()) {
		t.Errorf("exit %d, %.80q", code, out.String())
	}
	for _, line := range []string{"config --help", "config -h", "config help", "config validate --help", "config schema --help"} {
		var told screen
		if code := herz(t.Context(), &told, &errs, strings.Fields(line)...); code != cli.Good || !strings.Contains(told.String(), "Examples:\n  herz config validate") {
			t.Errorf("%s: exit %d, %q", line, code, told.String())
		}
	}
	var all screen
	if herz(t.Context(), &all, &errs, "help"); !strings.Contains(all.String(), "herz config validate") {
		t.Errorf("the overview does not list it: %s", all.String())
	}
}

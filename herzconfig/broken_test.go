package herzconfig_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"herz.example/herz/herzconfig"
)

// answers are written by `go test -run Broken . -args -update`, and then read by a person.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// secret is a value of the environment, and a password, that no answer may show.
const secret = "hunter2"

var vars = map[string]string{"SECRET": secret, "EMPTY": "", "TEN": "10"}

// cure is what an answer has to have beside what is wrong: what to do about it.
var cure = regexp.MustCompile(`did you mean|remove|write|give|indent|add|set |wants? |has to be|put |lower|save|name a pool|begin|move|close it|compare|register|end(s|ed)? with`)

func TestBrokenFileIsAnsweredWithLineAndCure(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d broken files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, problems := herzconfig.Parser{Env: env(vars)}.Parse(filepath.Base(file), text)
			if s != nil || len(problems.Errors()) == 0 {
				t.Fatalf("the file was taken: %v", problems)
			}
			var answer bytes.Buffer
			lines := strings.Count(string(text), "\n")
			for _, p := range problems {
				answer.WriteString(p.String() + "\n")
				if p.Line < 1 || p.Line > max(lines, 1) || p.Column < 1 {
					t.Errorf("no such place: %v", p)
				}
				if !cure.MatchString(p.Message) {
					t.Errorf("no cure: %v", p)
				}
				if strings.Contains(p.Message, secret) {
					t.Errorf("a secret: %v", p)
				}
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if updating() {
				if err := os.WriteFile(golden, answer.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(answer.Bytes(), want) {
				t.Errorf("got\n%swant\n%s", answer.Bytes(), want)
			}
		})
	}
}

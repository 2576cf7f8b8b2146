package conformance_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "go.mongodb.org/mongo-driver/version" // its module brings the cases; nothing of its code is used
)

// specCase is one file of the specification's test suite.
type specCase struct {
	Description string
	Style       string
	PoolOptions struct {
		MaxPoolSize        int
		MinPoolSize        int
		MaxConnecting      int
		MaxIdleTimeMS      int64
		WaitQueueTimeoutMS int64
	}
	Operations []operation
	Events     []want
	Ignore     []string
	Error      *struct{ Type string }
}

type operation struct {
	Name                      string
	Thread, Target            string
	Label, Connection         string
	Event                     string
	Count                     int
	MS                        int64
	InterruptInUseConnections bool
}

// want is one expected event. A number of 42 stands for any.
type want struct {
	Type         string
	ConnectionID *int64 `json:"connectionId"`
	Reason       string
}

// cases reads the suite from the driver's module.
func cases(t *testing.T) map[string]specCase {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.mongodb.org/mongo-driver")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("find the specification's cases in the module cache: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata", "connection-monitoring-and-pooling", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]specCase{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var c specCase
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".json")] = c
	}
	if len(all) < 34 {
		t.Fatalf("found %d cases, the suite has 34", len(all))
	}
	return all
}

package record

import (
	"fmt"
	"os"
	"path/filepath"
)

// Write puts the results into the folder dir, a file for each extension.
func Write(dir, name string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // results are to be read by everybody
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	for ext, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name+ext), []byte(data), 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

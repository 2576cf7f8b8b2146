package record

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Results are what a bench puts down.
type Results struct {
	Name  string
	JSON  []byte
	Table string // Markdown
	Chart string // SVG; empty: there is none
}

// Put writes the results into the folder dir, unless it is empty, and prints them in the form text or json.
func (r Results) Put(dir, form string, out io.Writer) error {
	raw := string(r.JSON) + "\n"
	files := map[string]string{".json": raw, ".md": r.Table}
	if r.Chart != "" {
		files[".svg"] = r.Chart
	}
	if dir != "" {
		if err := write(dir, r.Name, files); err != nil {
			return err
		}
	}
	text := r.Table
	if form == "json" {
		text = raw
	}
	_, err := io.WriteString(out, text)
	return err
}

// write puts the results into the folder dir, a file for each extension.
func write(dir, name string, files map[string]string) error {
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

package record

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Machine is where, when and with what a bench ran.
type Machine struct {
	When     time.Time         `json:"when"`
	Took     string            `json:"took"`
	Go       string            `json:"go"`
	System   string            `json:"system"`
	Kernel   string            `json:"kernel"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Procs    int               `json:"gomaxprocs"`
	Load     string            `json:"load_before"`
	Versions map[string]string `json:"versions"`
}

// Here describes this machine and this program, now. Took is left to the end.
func Here() Machine {
	m := Machine{
		When: time.Now().UTC(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Procs: runtime.GOMAXPROCS(0), Versions: map[string]string{},
		Load: firstLine("/proc/loadavg"), Kernel: firstLine("/proc/sys/kernel/osrelease"),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Version != "" && d.Version != "v0.0.0" && d.Version != "(devel)" { // ours are this checkout
				m.Versions[d.Path] = d.Version
			}
		}
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name\t: "); ok {
			m.CPU, _, _ = strings.Cut(rest, "\n")
		}
	}
	return m
}

func firstLine(path string) string {
	b, err := os.ReadFile(path) //nolint:gosec // the kernel's own files, named in this program
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// String is the paragraph that stands above the results.
func (m *Machine) String() string {
	var names []string
	for path, v := range m.Versions {
		names = append(names, path+" "+v)
	}
	slices.Sort(names)
	return fmt.Sprintf("%s, in %s. %s, %d cores, GOMAXPROCS %d, load before %s. %s, %s, Linux %s. %s.",
		m.When.Format(time.RFC3339), m.Took, m.CPU, m.Cores, m.Procs, m.Load, m.Go, m.System, m.Kernel, strings.Join(names, ", "))
}

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where a run was made.
type machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryMiB uint64 `json:"memory_mib"`
	Kernel    string `json:"kernel"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores of %s, %d MiB, Linux %s", m.Cores, m.Processor, m.MemoryMiB, m.Kernel)
}

func thisMachine() machine {
	m := machine{Processor: "an unknown processor", Cores: runtime.NumCPU(), Kernel: "of an unknown version"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var i unix.Sysinfo_t
	if unix.Sysinfo(&i) == nil {
		m.MemoryMiB = i.Totalram * uint64(i.Unit) >> 20
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}

// libraries are the modules whose version matters.
var libraries = map[string]string{
	"github.com/go-sql-driver/mysql": "go-sql-driver/mysql",
	"github.com/jackc/pgx/v5":        "pgx",
	"github.com/lib/pq":              "lib/pq",
	"github.com/redis/go-redis/v9":   "go-redis",
}

// libraryVersions are those that this program was built with.
func libraryVersions() map[string]string {
	v := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if name, ours := libraries[d.Path]; ours {
				v[name] = strings.TrimPrefix(d.Version, "v")
			}
		}
	}
	return v
}

// programs are the servers, and how each says its version.
var programs = []struct {
	name, program string
	flag          string
	folders       string // beside PATH
}{
	{"MariaDB", "mariadbd", "--version", "/usr/sbin"},
	{"PostgreSQL", "postgres", "--version", "/usr/lib/postgresql/*/bin"},
	{"Redis", "redis-server", "--version", "/usr/bin"},
	{"HAProxy", "haproxy", "-v", "/usr/sbin"},
}

var versionText = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// serverVersions adds those of the programs.
func serverVersions(v map[string]string) error {
	for _, p := range programs {
		path, err := exec.LookPath(p.program)
		if err != nil {
			found, globErr := filepath.Glob(filepath.Join(p.folders, p.program))
			if globErr != nil || len(found) == 0 {
				return fmt.Errorf("%s is missing (%s): run tools/setup.sh as root", p.program, p.name)
			}
			path = found[len(found)-1]
		}
		said, err := exec.Command(path, p.flag).Output() //nolint:gosec,noctx // it only says its version
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.program, p.flag, err)
		}
		v[p.name] = versionText.FindString(string(said))
	}
	return nil
}

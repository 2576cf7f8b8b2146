package herzconfig

import (
	"os"
	"path/filepath"
	"strings"
)

// mostLinks is how many symbolic links may lead to a file; Linux follows as many.
const mostLinks = 40

// watched are the folders in which the file could change, each with the names in it that lead there. An editor renames a new file over
// the old one, and Kubernetes renames a link three folders away: watching the file alone would see neither.
type watched map[string]map[string]bool

func (w watched) add(dir, name string) {
	if w[dir] == nil {
		w[dir] = map[string]bool{}
	}
	w[dir][name] = true
}

// concerns reports whether a name of an event leads to the file.
func (w watched) concerns(name string) bool {
	dir, base := filepath.Split(name)
	return w[filepath.Clean(dir)][base] || w[filepath.Clean(name)] != nil
}

// waysTo walks along an absolute path and notes each symbolic link on it, and its end. Where something is missing, the walk ends there.
func waysTo(path string) watched {
	w := watched{}
	at := filepath.VolumeName(path) + string(filepath.Separator)
	rest := parts(strings.TrimPrefix(path, filepath.VolumeName(path)))
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := os.Readlink(next)
		switch {
		case err == nil && links < mostLinks:
			links++
			w.add(at, name)
			if filepath.IsAbs(target) {
				at = filepath.VolumeName(target) + string(filepath.Separator)
				target = strings.TrimPrefix(target, filepath.VolumeName(target))
			}
			rest = append(parts(target), rest...)
		case len(rest) == 0 || !isDir(next):
			w.add(at, name)
			return w
		default:
			at = next
		}
	}
	return w
}

func parts(path string) []string {
	return strings.FieldsFunc(filepath.ToSlash(filepath.Clean(path)), func(c rune) bool { return c == '/' })
}

func isDir(path string) bool {
	i, err := os.Stat(path)
	return err == nil && i.IsDir()
}

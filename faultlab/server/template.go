//go:build linux

package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// templates are the prepared data folders, one a kind, made when the first server of the kind starts.
var templates struct {
	// mu guards made. A kind is prepared under it, within installTime: others would only do the same work again.
	mu   sync.Mutex
	made map[Kind]string
}

// copyTemplate puts fresh data of the kind into the folder to.
func copyTemplate(a *account, k Kind, to string) error {
	from, err := template(a, k)
	if err != nil {
		return fmt.Errorf("prepare the data of %v: %w", k, err)
	}
	return a.run(filepath.Dir(to), "", "/bin/cp", "-a", "--reflink=auto", from, to)
}

func template(a *account, k Kind) (string, error) {
	templates.mu.Lock()
	defer templates.mu.Unlock()
	if data, ok := templates.made[k]; ok {
		return data, nil
	}
	p := k.product()
	dir, err := a.folder(k.String() + "-template")
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	if err := p.install(a, p, data); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	if templates.made == nil {
		templates.made = map[Kind]string{}
	}
	templates.made[k] = data
	return data, nil
}

// CleanUp removes the prepared data. TestMain calls it after the last test.
func CleanUp() error {
	templates.mu.Lock()
	defer templates.mu.Unlock()
	var errs []error
	for k, data := range templates.made {
		errs = append(errs, os.RemoveAll(filepath.Dir(data)))
		delete(templates.made, k)
	}
	return errors.Join(errs...)
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

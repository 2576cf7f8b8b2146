package board

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// refs gives each source the word by which it is called: its name where no other has it, else name#id, which stays right when others come
// and go.
func refs(all []*entry) []string {
	names := make([]string, len(all))
	times := map[string]int{}
	for i, e := range all {
		names[i] = e.src.Name()
		times[names[i]]++
	}
	for i, name := range names {
		if name == "" || times[name] > 1 {
			names[i] = name + "#" + strconv.FormatUint(all[i].id, 10)
		}
	}
	return names
}

// find gives the source that a caller called so. A name goes before name#id.
func (b *Board) find(word string) (*entry, string, *fault) {
	all := b.entries()
	known := refs(all)
	var found []int
	for i, e := range all {
		if word != "" && e.src.Name() == word {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		if at := strings.LastIndexByte(word, '#'); at >= 0 {
			for i, e := range all {
				if strconv.FormatUint(e.id, 10) == word[at+1:] && (at == 0 || e.src.Name() == word[:at]) {
					found = append(found, i)
				}
			}
		}
	}
	switch len(found) {
	case 1:
		return all[found[0]], known[found[0]], nil
	case 0:
		f := &fault{status: http.StatusNotFound, code: "unknown_pool", pools: known, text: fmt.Sprintf("there is no pool %s on this board", short(word))}
		if len(known) == 0 {
			f.text += ", nor any other"
		}
		f.text += suggestion(word, known)
		return nil, "", f
	default:
		var which []string
		for _, i := range found {
			which = append(which, known[i])
		}
		return nil, "", &fault{
			status: http.StatusConflict, code: "ambiguous_pool", pools: which,
			text: fmt.Sprintf("%d pools are called %s; say which: %s", len(which), short(word), strings.Join(which, ", ")),
		}
	}
}

// fault is an answer that says why not.
type fault struct {
	status int
	code   string
	text   string
	pools  []string
}

func (f *fault) write(w http.ResponseWriter) {
	writeJSON(w, f.status, errorJSON{Schema: schemaVersion, Error: faultJSON{Code: f.code, Message: "herz/board: " + f.text, Pools: f.pools}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "herz/board: encode the answer: "+err.Error())
		return
	}
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller who has left needs no answer
}

// servePools serves what stands under api/pools, of which path is the rest.
func (b *Board) servePools(w http.ResponseWriter, path string) {
	if path == "" || path == "/" {
		all := b.entries()
		known := refs(all)
		list := poolsJSON{Schema: schemaVersion, Now: time.Now().UTC().Format(time.RFC3339Nano), Control: b.control(), Pools: []poolJSON{}}
		for i, e := range all {
			list.Pools = append(list.Pools, fromEntry(e, known[i]))
		}
		writeJSON(w, http.StatusOK, list)
		return
	}
	word, _, ok := cutAction(path)
	if !ok {
		(&fault{status: http.StatusNotFound, code: "not_found", text: "nothing is here; see api/pools"}).write(w)
		return
	}
	e, ref, f := b.find(word)
	if f != nil {
		f.write(w)
		return
	}
	source := fromSource(e.src, b.cfg.MaxConns)
	writeJSON(w, http.StatusOK, poolDetailJSON{
		Schema: schemaVersion, Now: time.Now().UTC().Format(time.RFC3339Nano), Control: b.control(), poolJSON: fromEntry(e, ref),
		Conns: source.Conns, ConnsLeftOut: source.ConnsLeftOut, Deaths: source.Deaths, Unasked: source.Unasked,
	})
}

// cutAction takes /{name} and /{name}/{verb} apart, as they stand in the escaped path. Without a verb it is empty.
func cutAction(path string) (word string, verb Verb, ok bool) {
	name, rest, deep := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	word, err := url.PathUnescape(name)
	if err != nil || word == "" || deep && rest == "" || strings.Contains(rest, "/") {
		return "", "", false
	}
	return word, Verb(rest), true
}

func fromEntry(e *entry, ref string) poolJSON {
	limits := fromLimits(e.src.Limits())
	stats := e.src.Stats()
	p := poolJSON{
		ID: e.id, Ref: ref, Name: e.src.Name(), Kind: "pool", NumActive: stats.InUse, NumIdle: stats.Idle, Stats: fromStats(stats), Limits: limits,
	}
	if _, err := e.controller(); err != nil {
		p.WhyNot = err.Error()
	} else {
		p.Controllable = true
	}
	if busy := e.busy.Load(); busy != nil {
		p.Busy = string(*busy)
	}
	return p
}

// auditShown is how many events the answer of api/audit has at the most, and auditInSnapshot each snapshot.
const auditShown, auditInSnapshot = 1000, 50

func (b *Board) serveAudit(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, auditListJSON{Schema: schemaVersion, Control: b.control(), Events: b.audit.newest(auditShown)})
}

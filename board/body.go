package board

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxBody is the greatest length of an action's body in bytes.
const maxBody = 16 << 10

// Bounds of the time that an action may take. Times of evict and drain are the caller's.
const (
	actTimeDefault = time.Minute
	actTimeMax     = 10 * time.Minute
)

// reasonMax is the greatest length of a reason in characters.
const reasonMax = 200

// order is the body of an action.
type order struct {
	reason  string
	timeout time.Duration
	limits  map[string]json.RawMessage
}

// fieldsOf are the names that the body of a verb may have.
func fieldsOf(v Verb) []string {
	switch v {
	case ChangeLimits:
		return append(limitNames(), "reason")
	case Evict, Drain:
		return []string{"timeout_seconds", "reason"}
	default:
		return []string{"reason"}
	}
}

// parseOrder reads a body to the letter: what is unknown, there twice or of the wrong kind is refused, because nothing is to be changed by a
// misunderstanding.
func parseOrder(v Verb, body []byte) (order, error) {
	o := order{timeout: actTimeDefault, limits: map[string]json.RawMessage{}}
	fields, err := parseObject(body)
	if err != nil {
		return o, err
	}
	known := fieldsOf(v)
	for name, raw := range fields {
		if !slices.Contains(known, name) {
			return o, fmt.Errorf("%s is no field of %s%s", short(name), v, suggestion(name, known))
		}
		switch name {
		case "reason":
			o.reason, err = parseReason(raw)
		case "timeout_seconds":
			o.timeout, err = parseTimeout(raw)
		default:
			o.limits[name] = raw
		}
		if err != nil {
			return o, err
		}
	}
	if v == ChangeLimits && len(o.limits) == 0 {
		return o, errors.New("the body names no limit; known are " + strings.Join(limitNames(), ", "))
	}
	return o, nil
}

// parseObject reads one JSON object, or nothing at all.
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(body)) == 0 {
		return fields, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the body is no JSON object such as {\"max_open\": 20}")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("the body is no JSON: %w", err)
		}
		name, _ := t.(string) // the names of an object are strings
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fmt.Errorf("the body is no JSON: %w", err)
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s is in the body twice; say it once", short(name))
		}
		fields[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("the body is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body has more than one JSON object")
	}
	return fields, nil
}

func parseReason(raw json.RawMessage) (string, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || string(raw) == "null" {
		return "", errors.New("reason must be a text")
	}
	if n := len([]rune(text)); n > reasonMax {
		return "", fmt.Errorf("reason has %d characters; it may have %d", n, reasonMax)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text), nil
}

func parseTimeout(raw json.RawMessage) (time.Duration, error) {
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(x >= 0.001 && x <= actTimeMax.Seconds()) {
		return 0, fmt.Errorf("timeout_seconds is %s; it must be a number from 0.001 to %g", short(string(raw)), actTimeMax.Seconds())
	}
	return time.Duration(x * float64(time.Second)), nil
}

// suggestion says which of the known words was meant, or lists them.
func suggestion(word string, known []string) string {
	best, least := "", len(word)/2+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return ""
	default:
		return "; known are " + strings.Join(known, ", ")
	}
}

// longestWord bounds the work of distance; longer words are like nothing.
const longestWord = 64

// distance is the number of letters to add, drop or change (Levenshtein).
func distance(a, b string) int {
	if len(a) > longestWord || len(b) > longestWord {
		return longestWord
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

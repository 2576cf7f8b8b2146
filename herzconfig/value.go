package herzconfig

import (
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// entry is what the file says for one key.
type entry struct {
	at      Position // of the key
	value   Position
	raw     string // the value as it stands in the file, variables not put in
	from    bool   // the environment has a part in it
	used    []string
	unknown bool // a variable is not set, and may be: nothing can be said about the value
}

// value reads one value into the field of a struct. False: a problem says what is wrong with it.
func (r *reader) value(path string, f field, p pair, into reflect.Value) (entry, bool) {
	n := behind(p.value)
	e := entry{at: p.at, value: place(p.value)}
	key := join(path, p.key)
	switch {
	case empty(n) && f.sort() != nested:
		r.fail(e.at, key, "%s has no value; give it one (%s), or remove the line", p.key, f.wants())
		return e, false
	case n.Kind != yaml.ScalarNode:
		r.fail(e.value, key, "%s wants %s, and there are keys or a list", p.key, f.wants())
		return e, false
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		r.fail(e.value, key, "a value that begins with ! is a tag, which means nothing here; put the value in quotes")
		return e, false
	}
	x := r.expand(key, n)
	e.raw, e.from, e.used = n.Value, x.from, x.used
	if !x.whole {
		e.unknown = true
		return e, r.allowUnset
	}
	if why, hint := f.set(into, x.text, quoted(n) && !x.from); why != "" {
		if x.from {
			hint = "" // it may be made of the value
		}
		r.fail(e.value, key, "%s", p.key+" "+f.shown(e)+why+hint)
		return e, false
	}
	return e, true
}

func quoted(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

// mostShown bounds how much of a value stands in an error.
const mostShown = 60

// shown is the value in an error: as the file has it, so that nothing of the environment is shown, and nothing at all of a secret.
func (f field) shown(e entry) string {
	raw := []rune(e.raw)
	switch {
	case f.secret:
		return ""
	case len(raw) > mostShown:
		return "is " + strconv.Quote(string(raw[:mostShown])+"…") + ": "
	default:
		return "is " + strconv.Quote(e.raw) + ": "
	}
}

// set reads text as a value of the field. It gives the rest of a sentence that says why it cannot, which never repeats the text, and a hint, which
// may.
func (f field) set(into reflect.Value, s string, inQuotes bool) (why, hint string) {
	s = strings.TrimSpace(s)
	switch k := f.sort(); {
	case s == "":
		return "is empty; write " + f.wants() + ", or remove the line", ""
	case inQuotes && (k == yesNo || k == whole || k == share):
		return "the quotes make it text; remove them", ""
	case k == yesNo:
		return f.setBool(into, s)
	case k == whole:
		return f.setInt(into, s)
	case k == share:
		return f.setFloat(into, s)
	case k == span:
		return f.setTime(into, s)
	case k == oneOf:
		for _, w := range f.words {
			if w == s {
				into.SetString(s)
				return "", ""
			}
		}
		return "it has to be " + f.wants(), meant(s, f.words)
	default:
		into.SetString(s)
		return "", ""
	}
}

func (f field) setBool(into reflect.Value, s string) (why, hint string) {
	switch strings.ToLower(s) {
	case "true", "on":
		into.SetBool(true)
	case "false", "off":
		into.SetBool(false)
	case "yes", "y", "1", "t", "enabled":
		return "it has to be true or false", "; did you mean true?"
	case "no", "n", "0", "f", "disabled", "never", "none":
		return "it has to be true or false", "; did you mean false?"
	default:
		return "it has to be true or false", meant(s, []string{"true", "false"})
	}
	return "", ""
}

func (f field) isOff(s string) bool { return f.off != "" && strings.EqualFold(s, "off") }

func (f field) setInt(into reflect.Value, s string) (why, hint string) {
	if f.isOff(s) {
		into.SetInt(-1)
		return "", ""
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return "it has to be " + f.wants(), f.wholeFrom(s)
	}
	least, most := f.bounds()
	switch {
	case n < 0 && f.off != "":
		n = -1
	case n == 0 && least > 0 && f.preset != "":
		return "0 is not taken; remove the line for the default (" + f.preset + "), or write " + f.wants(), ""
	case n < least || n > most:
		return "it has to be " + f.wants(), ""
	}
	into.SetInt(n)
	return "", ""
}

// wholeFrom guesses the number that was meant.
func (f field) wholeFrom(s string) string {
	if d, err := time.ParseDuration(s); err == nil && f.unit == "ms" {
		return ", without a unit; did you mean " + strconv.FormatInt(d.Milliseconds(), 10) + "?"
	}
	if n, err := strconv.ParseInt(strings.ReplaceAll(strings.ReplaceAll(s, "_", ""), ",", ""), 0, 64); err == nil {
		return "; did you mean " + strconv.FormatInt(n, 10) + "?"
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<31 {
		return "; did you mean " + strconv.FormatInt(int64(x), 10) + "?"
	}
	return ""
}

func (f field) setFloat(into reflect.Value, s string) (why, hint string) {
	most, _ := strconv.ParseFloat(f.most, 64)
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil && strings.HasSuffix(s, "%"):
		return "it has to be " + f.wants(), "; did you mean " + percent(s) + "?"
	case err != nil, math.IsNaN(x), x <= 0, x > most:
		return "it has to be " + f.wants(), ""
	}
	into.SetFloat(x)
	return "", ""
}

func percent(s string) string {
	x, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, "%")), 64)
	if err != nil {
		return "0.8"
	}
	return strconv.FormatFloat(x/100, 'g', -1, 64)
}

func (f field) setTime(into reflect.Value, s string) (why, hint string) {
	if f.isOff(s) {
		into.SetInt(-1)
		return "", ""
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return "it has to be " + f.wants(), timeFrom(s)
	case d < 0 && f.off != "":
		d = -1
	case d == 0 && f.zero == "":
		return "0 is not taken; remove the line for the default (" + f.preset + "), or write " + f.wants(), ""
	case d < 0:
		return "it must not be negative; write " + f.wants(), ""
	case d > f.longest():
		return "it is more than " + words(f.longest()) + "; write a shorter time", ""
	}
	into.SetInt(int64(d))
	return "", ""
}

var numberAndUnit = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]*)$`)

// units are other ways to write the units of time.
var units = map[string]string{
	"s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m", "m": "m",
	"h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "ms": "ms", "msec": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms",
}

// timeFrom guesses the time that was meant.
func timeFrom(s string) string {
	m := numberAndUnit.FindStringSubmatch(s)
	if m == nil {
		if strings.EqualFold(s, "never") || strings.EqualFold(s, "none") || strings.EqualFold(s, "unlimited") {
			return "; did you mean off?"
		}
		return ""
	}
	unit := strings.ToLower(m[2])
	switch days, err := strconv.ParseFloat(m[1], 64); {
	case unit == "":
		return "; it has no unit: did you mean " + m[1] + "s, or " + m[1] + "ms?"
	case unit == "d" || unit == "day" || unit == "days":
		if err == nil && days < 10_000 {
			return "; did you mean " + strconv.FormatFloat(days*24, 'g', -1, 64) + "h?"
		}
	case units[unit] != "":
		return "; did you mean " + m[1] + units[unit] + "?"
	}
	return ""
}

// words writes a time without zero parts: 30m and not 30m0s.
func words(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

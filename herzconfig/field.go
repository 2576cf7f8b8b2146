package herzconfig

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is a key as keys.go describes it.
type field struct {
	key, goName  string
	index        int
	typ          reflect.Type
	unit, preset string
	zero, off    string
	only         string
	words        []string
	least, most  string
	restart      bool
	secret       bool
}

// fieldsOf reads the description of a struct of keys.go.
func fieldsOf(t reflect.Type) []field {
	all := make([]field, t.NumField())
	for i := range all {
		f := t.Field(i)
		tag := f.Tag.Get
		all[i] = field{
			key: tag("key"), goName: f.Name, index: i, typ: f.Type, unit: tag("unit"), preset: tag("default"), zero: tag("zero"), off: tag("off"),
			only: tag("only"), least: tag("least"), most: tag("most"), restart: tag("restart") == "yes", secret: tag("secret") == "yes",
		}
		if w := tag("words"); w != "" {
			all[i].words = strings.Split(w, ",")
		}
	}
	return all
}

var (
	fileFields  = fieldsOf(reflect.TypeFor[fileKeys]())
	poolFields  = fieldsOf(reflect.TypeFor[poolKeys]())
	guardFields = fieldsOf(reflect.TypeFor[guardKeys]())
	webFields   = fieldsOf(reflect.TypeFor[webSocketKeys]())
)

func keysOf(fields []field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.key
	}
	return all
}

func fieldNamed(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// sort is what values of a key look like.
type sort uint8

const (
	text sort = iota
	oneOf
	yesNo
	whole
	share
	span
	nested
)

var duration = reflect.TypeFor[time.Duration]()

func (f field) sort() sort {
	switch {
	case f.typ == duration:
		return span
	case f.typ.Kind() == reflect.Bool:
		return yesNo
	case f.typ.Kind() == reflect.Int, f.typ.Kind() == reflect.Int64:
		return whole
	case f.typ.Kind() == reflect.Float64:
		return share
	case f.typ.Kind() == reflect.Struct, f.typ.Kind() == reflect.Map:
		return nested
	case f.words != nil:
		return oneOf
	default:
		return text
	}
}

// bounds are the smallest and the greatest whole number that is taken.
func (f field) bounds() (least, most int64) {
	least, most = 1, 1<<31-1
	if f.zero != "" {
		least = 0
	}
	if f.least != "" {
		least, _ = strconv.ParseInt(f.least, 10, 64)
	}
	if f.most != "" {
		most, _ = strconv.ParseInt(f.most, 10, 64)
	}
	return least, most
}

// longest is the greatest time that is taken.
func (f field) longest() time.Duration {
	if d, err := time.ParseDuration(f.most); err == nil {
		return d
	}
	return 10 * 365 * 24 * time.Hour
}

// wants says what a value has to be, for the end of an error.
func (f field) wants() string {
	off := ""
	if f.off != "" {
		off = ", or off (" + f.off + ")"
	}
	switch f.sort() {
	case oneOf:
		return strings.Join(f.words, " or ")
	case yesNo:
		return "true or false"
	case whole:
		least, most := f.bounds()
		return "a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10) + off
	case share:
		return "a number above 0, up to " + f.most
	case span:
		return "a time such as 30s, 1m30s or 250ms" + off
	case nested:
		return "keys of its own, indented under it"
	default:
		return "text"
	}
}

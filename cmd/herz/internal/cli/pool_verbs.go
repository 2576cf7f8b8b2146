package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// doPool does what was ordered and shows the answer.
func doPool(ctx context.Context, s System, o *poolOrder, c *boardClient) error {
	switch o.verb {
	case "ls":
		var list poolList
		return show(s, o, &list, func(into any) ([]byte, error) { return c.look(ctx, "pools", into) })
	case "show":
		var one poolDetail
		return show(s, o, &one, func(into any) ([]byte, error) { return c.look(ctx, "pools/"+url.PathEscape(o.pool), into) })
	case "limits":
		if len(o.changes) == 0 {
			var one limitsOnly
			return show(s, o, &one, func(into any) ([]byte, error) { return c.look(ctx, "pools/"+url.PathEscape(o.pool), into) })
		}
	}
	order, limit, answer, err := o.order(ctx, c)
	if err != nil {
		return show(s, o, &limitsOnly{}, func(any) ([]byte, error) { return answer, err })
	}
	var a poolAnswer
	return show(s, o, &a, func(into any) ([]byte, error) { return c.act(ctx, o.pool, o.verb, order, limit, into) })
}

// shown is an answer that a person can read.
type shown interface{ text(b *bytes.Buffer) }

// show prints what was answered: as the board sent it, or for a person.
func show(s System, o *poolOrder, into shown, ask func(any) ([]byte, error)) error {
	answer, err := ask(into)
	var b bytes.Buffer
	switch {
	case o.format == "json" && answer != nil && json.Indent(&b, bytes.TrimSpace(answer), "", "  ") == nil:
		b.WriteByte('\n') // an error of the board is JSON too, and goes out as such
	case err != nil:
		return err
	default:
		b.Reset()
		into.text(&b)
	}
	if _, werr := s.Out.Write(b.Bytes()); werr != nil {
		return fmt.Errorf("write the answer: %w", werr)
	}
	return err
}

// order makes the body of the action, and says how long the action may take. answer is what the board said, where it said an error.
func (o *poolOrder) order(ctx context.Context, c *boardClient) (_ map[string]any, _ time.Duration, answer []byte, _ error) {
	body := map[string]any{}
	if o.reason != "" {
		body["reason"] = o.reason
	}
	if o.verb == "evict" || o.verb == "drain" {
		body["timeout_seconds"] = o.timeout.Seconds()
		return body, o.timeout, nil, nil
	}
	if o.verb != "limits" {
		return body, lookTime, nil, nil
	}
	var now limitsOnly
	if answer, err := c.look(ctx, "pools/"+url.PathEscape(o.pool), &now); err != nil {
		return nil, 0, answer, err
	}
	for _, change := range o.changes {
		name, value, _ := strings.Cut(change, "=") // has one, see check
		name = limitName(name, now.Limits)
		if _, twice := body[name]; twice {
			return nil, 0, nil, unable(Usage, "%s is given twice; give it once", name)
		}
		v, err := limitValue(name, value)
		if err != nil {
			return nil, 0, nil, err
		}
		body[name] = v
	}
	return body, lookTime, nil, nil
}

// limitName takes max-open for max_open, and max_idle for max_idle_seconds. What the board does not know it is left to refuse.
func limitName(name string, known map[string]any) string {
	name = strings.ReplaceAll(name, "-", "_")
	if _, ok := known[name]; ok {
		return name
	}
	if _, ok := known[name+"_seconds"]; ok {
		return name + "_seconds"
	}
	return name
}

func limitValue(name, value string) (any, error) {
	switch value {
	case "default":
		return nil, nil //nolint:nilnil // JSON's null is the default
	case "true", "false":
		return value == "true", nil
	}
	if d, err := time.ParseDuration(value); err == nil && strings.HasSuffix(name, "_seconds") {
		return d.Seconds(), nil
	}
	if _, err := strconv.ParseFloat(value, 64); err != nil || !json.Valid([]byte(value)) {
		return nil, unable(Usage, "%s is %q; give a number, a time such as 5m, true, false, or default", name, value)
	}
	return json.Number(value), nil
}

package herzconfig

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// WebSocket is what a file says for servers of package herzws, which this package does not import: hand it over by Config.EnableLegacyKeepAlive.
type WebSocket struct {
	EnableLegacyKeepAlive bool // false also when the file does not say
}

// WebSocket gives the keys of websocket.
func (s *Settings) WebSocket() WebSocket { return WebSocket{s.web.keys.EnableLegacyKeepAlive} }

// webFile is what the file says under websocket.
type webFile struct {
	there bool
	keys  webSocketKeys
	has   map[string]entry
}

func isWebKey(p pair) bool {
	for _, f := range webFields {
		if strings.EqualFold(f.key, p.key) { // the well-known article writes EnableLegacyKeepAlive
			return true
		}
	}
	return false
}

// webSocket reads the keys of websocket.
func (r *reader) webSocket(p pair, web *webFile) {
	web.there = true
	n := behind(p.value)
	if n.Kind != yaml.MappingNode {
		r.fail(p.at, "websocket", "websocket wants keys of its own, indented under it, such as enableLegacyKeepAlive: true")
		return
	}
	as := &poolFile{has: map[string]entry{}}
	r.fields(as, "websocket", "", webFields, r.pairs("websocket", n), reflect.ValueOf(&web.keys).Elem())
	web.has = as.has
}

// tellWebSocket hands the setting over.
func (c Config) tellWebSocket(s *Settings) {
	if c.EnableLegacyKeepAlive != nil {
		c.EnableLegacyKeepAlive(s.WebSocket().EnableLegacyKeepAlive)
	}
}

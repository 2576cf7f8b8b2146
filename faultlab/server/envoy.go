//go:build linux

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// envoyProgram has the version in its name: tools/setup.sh puts it there under this one.
const envoyProgram = "envoy-1.40.0"

func envoy() product {
	return product{
		name:      "Envoy",
		bins:      []string{"/usr/local/lib/herz"},
		server:    envoyProgram,
		arguments: argumentsEnvoy,
		dsn:       func(_ *Server, a Access) string { return a.Addr },
		ready:     answersAdmin,
		tls:       true,
		behind:    true,
	}
}

// EnvoyRoots are the messages of Envoy's configuration from which the paths in [Options.Settings] begin: HttpConnectionManager, RouteAction, Cluster,
// HttpProtocolOptions of the cluster, and HealthCheck, without which it does not check its servers.
var EnvoyRoots = []string{"manager", "route", "cluster", "upstream", "health_check"}

// tree is a message as JSON, which Envoy reads as well as YAML.
type tree = map[string]any

const apiType = "type.googleapis.com/envoy."

// put sets a field by its path. A value that is no JSON is a string.
func put(m tree, path []string, value string) error {
	for _, name := range path[:len(path)-1] {
		if m[name] == nil {
			m[name] = tree{}
		}
		next, ok := m[name].(tree)
		if !ok {
			return fmt.Errorf("%q is no message", name)
		}
		m = next
	}
	var v any
	if json.Unmarshal([]byte(value), &v) != nil {
		v = value
	}
	m[path[len(path)-1]] = v
	return nil
}

// settle divides settings into flags and messages.
func (o Options) settle(roots tree) (flags []string, err error) {
	for _, set := range o.Settings {
		name, value, ok := strings.Cut(set, "=")
		if strings.HasPrefix(name, "--") {
			flags = append(flags, name)
			if ok {
				flags = append(flags, value)
			}
			continue
		}
		path := strings.Split(name, ".")
		if root, known := roots[path[0]].(tree); !ok || !known || len(path) < 2 {
			return nil, fmt.Errorf("setting %q of Envoy is neither a flag nor root.path=value with one of %v", set, EnvoyRoots)
		} else if err := put(root, path[1:], value); err != nil {
			return nil, fmt.Errorf("setting %q of Envoy: %w", set, err)
		}
	}
	return flags, nil
}

func argumentsEnvoy(s *Server) ([]string, error) {
	roots := tree{}
	for _, name := range EnvoyRoots {
		roots[name] = tree{}
	}
	flags, err := s.opt.settle(roots)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(s.bootstrap(roots), "", "  ")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "envoy.json")
	if err := os.WriteFile(config, text, 0o644); err != nil {
		return nil, err
	}
	// Without hot restart there is no shared memory, which a killed Envoy would leave behind, and no number that two of them must not share.
	return append([]string{"-c", config, "--concurrency", "1", "-l", "warn", "--disable-hot-restart"}, flags...), nil
}

// bootstrap is the whole configuration.
func (s *Server) bootstrap(roots tree) tree {
	return tree{
		"admin": tree{"address": tree{"pipe": tree{"path": s.adminSocket(), "mode": 0o600}}},
		"static_resources": tree{
			"listeners": []tree{s.listener(message(roots, "manager"), message(roots, "route"))},
			"clusters":  []tree{s.cluster(roots)},
		},
		"overload_manager": tree{"resource_monitors": []tree{{
			"name": "envoy.resource_monitors.global_downstream_max_connections",
			"typed_config": tree{
				"@type":                             apiType + "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
				"max_active_downstream_connections": s.opt.connections(),
			},
		}}},
	}
}

func message(roots tree, name string) tree { return roots[name].(tree) } //nolint:forcetypeassert // argumentsEnvoy made it

// listener takes clients: HTTP/1.1, and HTTP/2 by its preface or, with TLS, as agreed.
func (s *Server) listener(manager, route tree) tree {
	manager["@type"] = apiType + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	manager["stat_prefix"] = "lab"
	if s.opt.IdleTimeout > 0 {
		common, _ := manager["common_http_protocol_options"].(tree)
		if common == nil {
			common = tree{}
			manager["common_http_protocol_options"] = common
		}
		common["idle_timeout"] = fmt.Sprintf("%ds", s.opt.idleSeconds())
	}
	route["cluster"] = "lab"
	manager["route_config"] = tree{"virtual_hosts": []tree{{
		"name": "lab", "domains": []string{"*"},
		"routes": []tree{{"match": tree{"prefix": "/"}, "route": route}},
	}}}
	manager["http_filters"] = []tree{{
		"name":         "envoy.filters.http.router",
		"typed_config": tree{"@type": apiType + "extensions.filters.http.router.v3.Router"},
	}}
	chain := tree{"filters": []tree{{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}}}
	if s.paper != nil {
		chain["transport_socket"] = tree{"name": "envoy.transport_sockets.tls", "typed_config": tree{
			"@type": apiType + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
			"common_tls_context": tree{
				"alpn_protocols": []string{"h2", "http/1.1"},
				"tls_certificates": []tree{{
					"certificate_chain": tree{"filename": s.paper.certificate}, "private_key": tree{"filename": s.paper.key},
				}},
			},
		}}
	}
	return tree{"name": "lab", "address": address(s.opt.Listen, fmt.Sprint(s.Port)), "filter_chains": []tree{chain}}
}

// cluster is the servers. Connections to them are kept.
func (s *Server) cluster(roots tree) tree {
	var ends []tree
	for _, to := range s.opt.To {
		host, port, err := net.SplitHostPort(to)
		if err != nil {
			host = to // Envoy says what is wrong with it
		}
		ends = append(ends, tree{"endpoint": tree{"address": address(host, port)}})
	}
	c := message(roots, "cluster")
	c["name"], c["type"] = "lab", "STATIC"
	c["load_assignment"] = tree{"cluster_name": "lab", "endpoints": []tree{{"lb_endpoints": ends}}}
	if check := message(roots, "health_check"); len(check) > 0 {
		c["health_checks"] = []tree{check}
	}
	if upstream := message(roots, "upstream"); len(upstream) > 0 {
		upstream["@type"] = apiType + "extensions.upstreams.http.v3.HttpProtocolOptions"
		if upstream["explicit_http_config"] == nil {
			upstream["explicit_http_config"] = tree{"http_protocol_options": tree{}}
		}
		c["typed_extension_protocol_options"] = tree{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": upstream}
	}
	return c
}

func address(host, port string) tree {
	return tree{"socket_address": tree{"address": host, "port_value": json.Number(port)}}
}

// adminSocket is where Envoy is administrated: only this process and the server's own account may.
func (s *Server) adminSocket() string { return filepath.Join(s.dir, "admin") }

// Admin asks Envoy's administration interface, by POST as whatever changes something there wants it, and returns what it says.
func (s *Server) Admin(ctx context.Context, path string) (string, error) {
	if s.Kind != Envoy {
		return "", fmt.Errorf("server: %v has no administration interface here: ask an Envoy", s.Kind)
	}
	text, err := s.admin(ctx, path)
	if err != nil {
		return "", fmt.Errorf("server: ask Envoy's administration for %s: %w", path, err)
	}
	return text, nil
}

func (s *Server) admin(ctx context.Context, path string) (string, error) {
	var d net.Dialer
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", s.adminSocket())
	}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://admin"+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}

// answersAdmin asks whether Envoy is ready, which it is when its servers have been checked for the first time and its listener accepts.
func answersAdmin(ctx context.Context, s *Server) error {
	if _, err := s.admin(ctx, "/ready"); err != nil {
		return err
	}
	return answersTCP(ctx, s)
}

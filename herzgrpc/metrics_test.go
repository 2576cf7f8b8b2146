package herzgrpc_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"herz.example/herz/herzgrpc"
)

// collected gives all metrics by name.
func collected(t *testing.T, r sdk.Reader) map[string]metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	must(t, r.Collect(context.Background(), &all))
	byName := map[string]metricdata.Aggregation{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			byName[m.Name] = m.Data
		}
	}
	return byName
}

func TestMetricsTellClassAndStateAndConnections(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := sdk.NewManualReader()
	c := client(t, herzgrpc.Config{Retries: -1, Logger: quiet(), MeterProvider: sdk.NewMeterProvider(sdk.WithReader(r))})
	stub := dial(t, c, s.addr())
	must(t, ask(within(t, patience), stub, ""))
	_ = ask(within(t, patience), stub, "unavailable")
	gone := dial(t, c, "127.0.0.1:1")
	_ = ask(within(t, patience), gone, "")
	must(t, s.ln.conns()[0].Close())
	eventually(t, "the loss is told", func() bool { return collected(t, r)["grpc.subchannel.disconnections"] != nil })

	all := collected(t, r)
	for _, name := range []string{
		"herz.grpc.retries", "grpc.subchannel.connection_attempts_succeeded", "grpc.subchannel.connection_attempts_failed", "grpc.subchannel.open_connections",
	} {
		if all[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	lost := all["grpc.subchannel.disconnections"].(metricdata.Sum[int64]).DataPoints[0].Attributes
	if why, ok := lost.Value("grpc.disconnect_error"); !ok || why.AsString() == "" {
		t.Errorf("a disconnection has the attributes %v", lost.ToSlice())
	}
	type kind struct{ code, class, state string }
	got := map[kind]int64{}
	for _, p := range all["herz.grpc.calls"].(metricdata.Sum[int64]).DataPoints {
		of := func(key attribute.Key) string {
			v, _ := p.Attributes.Value(key)
			return v.AsString()
		}
		if of("rpc.method") != unaryMethod {
			t.Errorf("method %q", of("rpc.method"))
		}
		got[kind{of("rpc.response.status_code"), of("herz.grpc.class"), of("herz.grpc.channel_state")}] += p.Value
	}
	for want, n := range map[kind]int64{
		{"OK", "server", "IDLE"}: 1, {"UNAVAILABLE", "server", "READY"}: 1, {"UNAVAILABLE", "never_sent", "IDLE"}: 1,
	} {
		if got[want] != n {
			t.Errorf("%v: %d, and not %d, of %v", want, got[want], n, got)
		}
	}
	var calls uint64
	for _, p := range all["rpc.client.call.duration"].(metricdata.Histogram[float64]).DataPoints {
		calls += p.Count
		if code, _ := p.Attributes.Value("rpc.response.status_code"); code.AsString() != "OK" {
			if why, ok := p.Attributes.Value("error.type"); !ok || why != code {
				t.Errorf("%v has no error.type", p.Attributes.ToSlice())
			}
		}
	}
	if calls != 3 {
		t.Errorf("the duration of %d calls", calls)
	}
}

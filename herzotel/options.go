package herzotel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"herz.example/herz/ceiling"
)

// Option changes what an [Observer] tells and to whom.
type Option func(*settings)

type settings struct {
	meters     metric.MeterProvider
	tracers    trace.TracerProvider
	attributes []attribute.KeyValue
	learner    *ceiling.Learner
	spans      bool
	article    bool

	articleNames bool
}

func newSettings(opts []Option) settings {
	s := settings{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider(), spans: true}
	for _, o := range opts {
		o(&s)
	}
	return s
}

// WithMeterProvider takes the metrics. Absent: the global one, as it is in New.
func WithMeterProvider(p metric.MeterProvider) Option { return func(s *settings) { s.meters = p } }

// WithTracerProvider takes the spans. Absent: the global one, as it is in New.
func WithTracerProvider(p trace.TracerProvider) Option { return func(s *settings) { s.tracers = p } }

// WithAttributes are put on every metric and span, beside the pool's name.
func WithAttributes(a ...attribute.KeyValue) Option {
	return func(s *settings) { s.attributes = append(s.attributes, a...) }
}

// WithLearner tells after how long something else closes idle connections, as herz.pool.idle_ceiling. The learner has to be an observer of the pools, too.
// Absent, or nil: that is not told.
func WithLearner(l *ceiling.Learner) Option { return func(s *settings) { s.learner = l } }

// WithoutSpans leaves the spans out.
func WithoutSpans() Option { return func(s *settings) { s.spans = false } }

// WithArticleAttributes calls the spans db.GetConn and db.ReleaseConn, and gives them, beside their own attributes, db.state (acquired, acquire_failed,
// released), db.wait_ms (whole milliseconds, where a connection was got) and db.pool_idle (idle connections after the return), for boards that
// know these. The semantic conventions reserve db.*, so that they are absent without it.
func WithArticleAttributes() Option { return func(s *settings) { s.article = true } }

// WithArticleNames lets [NewHTTP] also tell dns_duration_ms, connect_duration_ms, tls_handshake_ms, connection_health_metrics, dns_starts and
// connect_success, for boards that know these; docs/metrics.md says what they mean. Their names and units are not the conventions', so that they are
// absent without it.
func WithArticleNames() Option { return func(s *settings) { s.articleNames = true } }

package signal

// Keys of attributes of HTTP's metrics.
const (
	ServerAddress   = "server.address"
	ServerPort      = "server.port"
	HTTPMethod      = "http.request.method"
	HTTPStatus      = "http.response.status_code"
	ErrorType       = "error.type"
	ProtocolVersion = "network.protocol.version"
	HTTPState       = "http.connection.state"
	Phase           = "phase"

	// The article's.
	Dimension   = "dimension"
	ArticleHost = "host"
	Network     = "network"
	ArticleAddr = "addr"
)

// Names of HTTP's metrics.
const (
	RequestDuration    = "http.client.request.duration"
	OpenConnections    = "http.client.open_connections"
	ActiveRequests     = "http.client.active_requests"
	ConnectionDuration = "http.client.connection.duration"
	PhaseDuration      = "herz.http.phase.duration"
	ConnectionRequests = "herz.http.connection.requests"
	Repeats            = "herz.http.repeats"
	Ambiguous          = "herz.http.ambiguous"
	HTTPMax            = "herz.http.max_connections"
	HTTPWaiting        = "herz.http.waiting"
	HTTPTimeouts       = "herz.http.wait_timeouts"

	// The article's.
	DNSDuration      = "dns_duration_ms"
	ConnectDuration  = "connect_duration_ms"
	TLSHandshake     = "tls_handshake_ms"
	ConnectionHealth = "connection_health_metrics"
	DNSStarts        = "dns_starts"
	ConnectSuccess   = "connect_success"
)

// HTTPMetrics lists the metrics of a herzhttp.Transport, in the order of docs/metrics.md. They have no PoolName.
func HTTPMetrics() []Metric {
	at := []string{ServerAddress, ServerPort}
	return []Metric{
		{
			RequestDuration, "s", Histogram, "Time of one try of a request, from the wish for a connection to the head of the answer or the failure.",
			[]string{HTTPMethod, ServerAddress, ServerPort, HTTPStatus, ErrorType, ProtocolVersion},
		},
		{
			OpenConnections, "{connection}", UpDown, "Connections: active (at least one request is under way), idle (all others that are open).",
			[]string{ServerAddress, ServerPort, HTTPState},
		},
		{ActiveRequests, "{request}", UpDown, "Requests that have a connection and whose answer's body has not ended.", at},
		{ConnectionDuration, "s", Histogram, "Age of connections that ended.", at},
		{
			PhaseDuration, "s", Histogram, "Of each dial resolve, connect and tls, where they happened; of each try wait (for a connection) and first_byte.",
			[]string{Phase, ServerAddress, ServerPort},
		},
		{ConnectionRequests, "{request}", Histogram, "Requests that connections carried in their life, told when they end.", at},
		{
			Repeats, "{request}", Counter, "Tries that failed and were repeated: not_delivered (proved), harmless (safe method or Idempotency-Key).",
			[]string{Reason, ServerAddress, ServerPort},
		},
		{
			Ambiguous, "{request}", Counter,
			"Requests that failed and may have been executed, which were not repeated: connection_lost, timeout, canceled (the caller gave up).",
			[]string{Reason, ServerAddress, ServerPort},
		},
		{HTTPMax, "{connection}", UpDown, "Most connections allowed to be open.", at},
		{HTTPWaiting, "{request}", UpDown, "Requests that wait for a connection now.", at},
		{HTTPTimeouts, "{timeout}", Counter, "Requests that waited for a connection until their time ran out.", at},
	}
}

// ArticleMetrics lists those that are told only when they are asked for. Their names and units are not those of the conventions.
func ArticleMetrics() []Metric {
	host, where := []string{ArticleHost}, []string{Network, ArticleAddr}
	return []Metric{
		{DNSDuration, "ms", Highest, "Longest look-up of the last minute. Absent: there was none.", host},
		{ConnectDuration, "ms", Highest, "Longest TCP handshake of the last minute. Absent: there was none.", host},
		{TLSHandshake, "ms", Highest, "Longest TLS handshake of the last minute. Absent: there was none.", host},
		{
			ConnectionHealth, "ms", Highest, "Mean of the newest complete window of five seconds, of the last twelve, in which a dial had the phase: dns, connect, tls.",
			[]string{Dimension, ArticleHost},
		},
		{DNSStarts, "{lookup}", Counter, "Look-ups that began.", where},
		{ConnectSuccess, "{connection}", Counter, "Connects that succeeded, by network and by address as configured.", where},
	}
}

// HTTPBounds are the bounds of a histogram of HTTPMetrics.
func HTTPBounds(metric string) []float64 {
	switch metric {
	case ConnectionRequests:
		return []float64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000}
	case ConnectionDuration:
		return []float64{0.1, 1, 5, 10, 30, 60, 90, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600}
	default:
		return []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 0.8, 1, 2.5, 5, 10, 30}
	}
}

package nri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// What came of a request to create a container.
const (
	resultAdjusted  = "adjusted"
	resultUntouched = "untouched"
	resultRefused   = "refused"
	resultError     = "error"
)

type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	seconds   prometheus.Histogram
	pods      prometheus.Gauge
	missed    prometheus.Counter
	connected prometheus.Gauge
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "timens_nri_requests_total", Help: "Containers that the engine has asked about, by what came of it.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "timens_nri_request_seconds", Help: "Time to settle what a container gets.",
			Buckets: []float64{.00005, .0001, .0002, .0005, .001, .002, .005, .01, .1, 1},
		}),
		pods: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "timens_nri_pods_with_clocks", Help: "Pods with containers that have clocks of their own.",
		}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "timens_nri_refused_starts_total", Help: "Containers that were created without timens-nri, and not let start.",
		}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "timens_nri_connected", Help: "Whether the engine is connected.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "timens_nri_build_info", Help: "The version of this program.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	for _, r := range []string{resultAdjusted, resultUntouched, resultRefused, resultError} {
		m.requests.WithLabelValues(r)
	}
	m.registry.MustRegister(m.requests, m.seconds, m.pods, m.missed, m.connected, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handled(result string, d time.Duration) {
	m.requests.WithLabelValues(result).Inc()
	m.seconds.Observe(d.Seconds())
}

// handler answers for kubelet and for Prometheus. ready is nil, or why not.
func (m *metrics) handler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return mux
}

// listen serves until ctx ends.
func listen(ctx context.Context, address string, h http.Handler) (*http.Server, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	s := &http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener does not end by itself
		}
	}()
	return s, nil
}

package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// A Batch takes the figures of one collection.
type Batch struct {
	out chan<- prometheus.Metric
}

// Register has collect called at each collection, by several goroutines at a time if several ask. It is how figures that
// somebody counts already get among the metrics.
func (m *Metrics) Register(collect func(*Batch)) { m.registry.MustRegister(collector(collect)) }

// collector is a function as a prometheus.Collector. It describes nothing before, so that what it emits is checked when it does.
type collector func(*Batch)

func (c collector) Describe(chan<- *prometheus.Desc)     {}
func (c collector) Collect(out chan<- prometheus.Metric) { c(&Batch{out}) }

// Counter emits a figure that only grows. labels are names and values in turns.
func (b *Batch) Counter(name, help string, value float64, labels ...string) {
	b.emit(name, help, prometheus.CounterValue, value, labels)
}

// Gauge emits a figure that goes up and down.
func (b *Batch) Gauge(name, help string, value float64, labels ...string) {
	b.emit(name, help, prometheus.GaugeValue, value, labels)
}

// Bool emits a gauge of 0 or 1.
func (b *Batch) Bool(name, help string, value bool, labels ...string) {
	n := 0.0
	if value {
		n = 1
	}
	b.Gauge(name, help, n, labels...)
}

func (b *Batch) emit(name, help string, kind prometheus.ValueType, value float64, labels []string) {
	names, values := split(labels)
	metric, err := prometheus.NewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), fmt.Errorf("metrics: %s: %w", name, err))
	}
	b.out <- metric
}

func (b *Batch) histogram(name, help string, s snapshot, labels ...string) {
	names, values := split(labels)
	b.out <- prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, names, nil), s.count, s.sum, s.buckets, values...)
}

// split takes names and values apart.
func split(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}

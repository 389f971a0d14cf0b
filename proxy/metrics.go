package proxy

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	syncDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem:      "kubeproxy",
		Name:           "sync_proxy_rules_duration_seconds",
		Help:           "Time one sync of the rules took, by IP family",
		Buckets:        metrics.ExponentialBuckets(0.001, 2, 15),
		StabilityLevel: metrics.ALPHA,
	}, []string{"ip_family"})
	syncFullDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem:      "kubeproxy",
		Name:           "sync_full_proxy_rules_duration_seconds",
		Help:           "Time one sync that wrote all rules took, by IP family",
		Buckets:        metrics.ExponentialBuckets(0.001, 2, 15),
		StabilityLevel: metrics.ALPHA,
	}, []string{"ip_family"})
	syncTimestamp = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Subsystem:      "kubeproxy",
		Name:           "sync_proxy_rules_last_timestamp_seconds",
		Help:           "When the rules were last synced, by IP family",
		StabilityLevel: metrics.ALPHA,
	}, []string{"ip_family"})
	restoreFailures = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      "kubeproxy",
		Name:           "sync_proxy_rules_iptables_restore_failures_total",
		Help:           "Syncs that failed, by IP family",
		StabilityLevel: metrics.ALPHA,
	}, []string{"ip_family"})
)

func init() {
	legacyregistry.MustRegister(syncDuration, syncFullDuration, syncTimestamp, restoreFailures)
}

func observeSync(family corev1.IPFamily, full bool, took time.Duration, err error) {
	name := string(family)
	if err != nil {
		restoreFailures.WithLabelValues(name).Inc()
		return
	}
	syncDuration.WithLabelValues(name).Observe(took.Seconds())
	if full {
		syncFullDuration.WithLabelValues(name).Observe(took.Seconds())
	}
	syncTimestamp.WithLabelValues(name).SetToCurrentTime()
}

package stats

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// The metrics of /metrics/resource, which metrics-server reads.
var (
	nodeCPU     = prometheus.NewDesc("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", nil, nil)
	nodeMemory  = prometheus.NewDesc("node_memory_working_set_bytes", "Current working set of the node in bytes", nil, nil)
	podLabels   = []string{"namespace", "pod"}
	podCPU      = prometheus.NewDesc("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", podLabels, nil)
	podMemory   = prometheus.NewDesc("pod_memory_working_set_bytes", "Current working set of the pod in bytes", podLabels, nil)
	ctrLabels   = []string{"container", "namespace", "pod"}
	ctrCPU      = prometheus.NewDesc("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", ctrLabels, nil)
	ctrMemory   = prometheus.NewDesc("container_memory_working_set_bytes", "Current working set of the container in bytes", ctrLabels, nil)
	ctrStart    = prometheus.NewDesc("container_start_time_seconds", "Start time of the container since unix epoch in seconds", ctrLabels, nil)
	scrapeError = prometheus.NewDesc("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", nil, nil)
)

// scrapeTimeout bounds one reading of all pods.
const scrapeTimeout = 10 * time.Second

// MetricsHandler serves the use of the node, its pods and their containers for metrics-server.
func (p *Provider) MetricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{p})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

type collector struct{ provider *Provider }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodeCPU, nodeMemory, podCPU, podMemory, ctrCPU, ctrMemory, ctrStart, scrapeError} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	summary, err := c.provider.Summary(ctx)
	if err != nil {
		out <- prometheus.MustNewConstMetric(scrapeError, prometheus.GaugeValue, 1)
		return
	}
	out <- prometheus.MustNewConstMetric(scrapeError, prometheus.GaugeValue, 0)
	usage(out, nodeCPU, nodeMemory, summary.Node.CPU, summary.Node.Memory)
	for _, pod := range summary.Pods {
		usage(out, podCPU, podMemory, pod.CPU, pod.Memory, pod.PodRef.Namespace, pod.PodRef.Name)
		for _, ctr := range pod.Containers {
			labels := []string{ctr.Name, pod.PodRef.Namespace, pod.PodRef.Name}
			usage(out, ctrCPU, ctrMemory, ctr.CPU, ctr.Memory, labels...)
			start := prometheus.MustNewConstMetric(ctrStart, prometheus.GaugeValue, float64(ctr.StartTime.UnixNano())/1e9, labels...)
			out <- start
		}
	}
}

func usage(out chan<- prometheus.Metric, cpuDesc, memoryDesc *prometheus.Desc, cpu *statsapi.CPUStats, memory *statsapi.MemoryStats, labels ...string) {
	if cpu != nil && cpu.UsageCoreNanoSeconds != nil {
		out <- prometheus.NewMetricWithTimestamp(cpu.Time.Time,
			prometheus.MustNewConstMetric(cpuDesc, prometheus.CounterValue, float64(*cpu.UsageCoreNanoSeconds)/1e9, labels...))
	}
	if memory != nil && memory.WorkingSetBytes != nil {
		out <- prometheus.NewMetricWithTimestamp(memory.Time.Time,
			prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(*memory.WorkingSetBytes), labels...))
	}
}

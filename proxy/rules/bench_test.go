package rules

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/skiff-project/skiff/proxy/model"
)

// many fills a tracker with Services of a few endpoints each.
func many(services, endpoints int) *model.Tracker {
	tracker := model.NewTracker(corev1.IPv4Protocol, "node-a")
	for i := range services {
		name := fmt.Sprint("web-", i)
		tracker.SetService(service(name, fmt.Sprintf("10.96.%d.%d", i/250, i%250+1), nil))
		tracker.SetSlice(manySlice(name, i, endpoints))
	}
	return tracker
}

func manySlice(name string, i, endpoints int) *discoveryv1.EndpointSlice {
	var addrs []string
	for e := range endpoints {
		n := i*endpoints + e
		addrs = append(addrs, fmt.Sprintf("10.244.%d.%d", n/250%250, n%250+1))
	}
	return endpointSlice(name, addrs...)
}

// BenchmarkRules measures the pure part of a sync: all rules at first, then the
// change of one endpoint, then that of one Service.
func BenchmarkRules(b *testing.B) {
	for _, size := range []struct{ services, endpoints int }{{1000, 10}, {10000, 2}} {
		name := fmt.Sprintf("services=%d", size.services)
		config := scenario{Family: corev1.IPv4Protocol}.config()
		b.Run(name+"/all", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tracker := many(size.services, size.endpoints)
				g, err := NewGenerator(config)
				if err != nil {
					b.Fatal(err)
				}
				g.Update(tracker.Sync())
				full := g.Full(nil)
				b.ReportMetric(float64(len(full.Restore())), "bytes-to-kernel")
			}
		})
		tracker := many(size.services, size.endpoints)
		g, err := NewGenerator(config)
		if err != nil {
			b.Fatal(err)
		}
		g.Update(tracker.Sync())
		b.Run(name+"/endpoint", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tracker.SetSlice(manySlice("web-7", 7, size.endpoints+i%2))
				delta := g.Update(tracker.Sync())
				b.ReportMetric(float64(len(delta.Restore())), "bytes-to-kernel")
			}
		})
		b.Run(name+"/service", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tracker.SetService(service("web-7", fmt.Sprintf("10.99.0.%d", i%2+1), nil))
				delta := g.Update(tracker.Sync())
				b.ReportMetric(float64(len(delta.Restore())), "bytes-to-kernel")
			}
		})
	}
}

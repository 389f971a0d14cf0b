package proxy

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testnet"
	"github.com/skiff-project/skiff/proxy/health"
)

// TestMovedSlice: a slice whose label names another Service than before gives
// its endpoints to that one only.
func TestMovedSlice(t *testing.T) {
	f := newFamily(corev1.IPv4Protocol, "node-a")
	p := &Proxy{families: []*family{f}, wake: make(chan struct{}, 1)}
	p.health = health.NewProxier(testingclock.NewFakeClock(time.Now()), time.Minute)
	slice := func(service string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "mine", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Port: ptr.To[int32](8080)}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.2"}}},
		}
	}
	expect := func(when string, want map[string]int) {
		t.Helper()
		f.tracker.Sync()
		for name, port := range f.tracker.Ports() {
			if len(port.Cluster) != want[name.Name] {
				t.Errorf("%s: Service %s has %d endpoints, want %d", when, name.Name, len(port.Cluster), want[name.Name])
			}
		}
	}
	p.setService(testService("a"))
	p.setService(testService("b"))
	p.setSlice(slice("a"))
	expect("at first", map[string]int{"a": 1})
	p.replaceSlice(slice("a"), slice("b"))
	expect("moved", map[string]int{"b": 1})
	p.replaceSlice(slice("b"), slice(""))
	expect("without label", nil)
}

// TestStopBeforeSync: a proxy that is stopped before it ever reached the API ends
// without error, whatever the cause is.
func TestStopBeforeSync(t *testing.T) {
	testnet.Require(t, "iptables")
	p, err := New(Config{RESTConfig: &rest.Config{Host: "https://127.0.0.1:1"}, NodeName: "node-a"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a signal came"))
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

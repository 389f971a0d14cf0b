package iptables

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testnet"
	"github.com/skiff-project/skiff/proxy/model"
	"github.com/skiff-project/skiff/proxy/rules"
)

// BenchmarkKernel measures syncs into a real kernel: everything at first, then the
// change of one endpoint.
func BenchmarkKernel(b *testing.B) {
	for _, size := range []struct{ services, endpoints int }{{10, 3}, {1000, 10}, {10000, 2}} {
		testnet.Require(b, "iptables")
		tracker := model.NewTracker(corev1.IPv4Protocol, "node-a")
		set := func(i, endpoints int) {
			name := fmt.Sprint("web-", i)
			slice := &discoveryv1.EndpointSlice{
				ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
				AddressType: discoveryv1.AddressTypeIPv4,
				Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
			}
			for e := range endpoints {
				n := i*size.endpoints + e
				slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 128+n/62500, n/250%250, n%250+1)}})
			}
			tracker.SetSlice(slice)
		}
		for i := range size.services {
			ip := fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)
			tracker.SetService(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("web-", i)},
				Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
			set(i, size.endpoints)
		}
		program, err := Open(corev1.IPv4Protocol)
		if err != nil {
			b.Fatal(err)
		}
		config := rules.Config{Family: corev1.IPv4Protocol, MasqueradeBit: 14, ClusterCIDR: netip.MustParsePrefix("10.128.0.0/9")}
		backend, err := NewBackend(program, config)
		if err != nil {
			b.Fatal(err)
		}
		node := testnet.New(b)
		sync := func() {
			node.Do(b, func() error {
				_, err := backend.Sync(b.Context(), tracker.Sync())
				return err
			})
		}
		b.Run(fmt.Sprintf("services=%d/all", size.services), func(b *testing.B) {
			for b.Loop() {
				backend.Invalidate()
				sync()
			}
		})
		b.Run(fmt.Sprintf("services=%d/endpoint", size.services), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				set(7, size.endpoints+i%2)
				sync()
			}
		})
		b.Run(fmt.Sprintf("services=%d/check", size.services), func(b *testing.B) {
			for b.Loop() {
				node.Do(b, func() error {
					_, err := backend.Check(b.Context())
					return err
				})
			}
		})
		if err := node.Try(func() error { _, err := Cleanup(b.Context(), program); return err }); err != nil {
			b.Fatal(err)
		}
	}
}

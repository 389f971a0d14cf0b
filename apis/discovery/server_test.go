package discovery_test

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

// TestGenerations checks that the server counts the changes of a slice, which has
// no spec: those of its endpoints, ports and labels, but not of annotations, and
// whatever the client says.
func TestGenerations(t *testing.T) {
	env := testenv.Start(t)
	slices := env.Client.DiscoveryV1().EndpointSlices(env.Namespace(t))
	slice, err := slices.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "s", Generation: 7},
		AddressType: discoveryv1.AddressTypeIPv4,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if slice.Generation != 1 {
		t.Errorf("a new slice has generation %d", slice.Generation)
	}
	for _, step := range []struct {
		name   string
		change func(*discoveryv1.EndpointSlice)
		want   int64
	}{
		{"an endpoint", func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}
		}, 2},
		{"its condition", func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = ptr.To(false) }, 3},
		{"a port", func(s *discoveryv1.EndpointSlice) { s.Ports = []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}} }, 4},
		{"labels", func(s *discoveryv1.EndpointSlice) { s.Labels = map[string]string{"a": "b"} }, 5},
		{"annotations", func(s *discoveryv1.EndpointSlice) { s.Annotations = map[string]string{"a": "b"} }, 5},
		{"nothing but a wish", func(s *discoveryv1.EndpointSlice) { s.Generation = 9 }, 5},
	} {
		step.change(slice)
		if slice, err = slices.Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if slice.Generation != step.want {
			t.Errorf("after a change of %s: generation %d, want %d", step.name, slice.Generation, step.want)
		}
	}
}

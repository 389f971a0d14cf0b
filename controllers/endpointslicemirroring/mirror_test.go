package endpointslicemirroring

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestMirror(t *testing.T) {
	endpoints := &corev1.Endpoints{ //nolint:staticcheck // the deprecated API is the point
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "db", UID: "u", Labels: map[string]string{"tier": "data"},
			Annotations: map[string]string{"note": "x", corev1.LastAppliedConfigAnnotation: "{}", corev1.EndpointsLastChangeTriggerTime: "now"},
		},
		Subsets: []corev1.EndpointSubset{
			{
				Addresses:         []corev1.EndpointAddress{{IP: "192.0.2.1", Hostname: "a"}, {IP: "2001:db8::1"}},
				NotReadyAddresses: []corev1.EndpointAddress{{IP: "192.0.2.2", NodeName: ptr.To("n")}, {IP: "rubbish"}},
				Ports:             []corev1.EndpointPort{{Name: "sql", Port: 5432, Protocol: corev1.ProtocolTCP}},
			},
			{Addresses: make([]corev1.EndpointAddress, 0)},
		},
	}
	got := Mirror(endpoints)
	if len(got) != 2 || got[0].AddressType != discoveryv1.AddressTypeIPv4 || got[1].AddressType != discoveryv1.AddressTypeIPv6 || got[0].Name == got[1].Name {
		t.Fatalf("%+v", got)
	}
	want := []discoveryv1.Endpoint{
		{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}, Hostname: ptr.To("a")},
		{Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}, NodeName: ptr.To("n")},
	}
	if diff := cmp.Diff(want, got[0].Endpoints); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]discoveryv1.EndpointPort{{Name: ptr.To("sql"), Port: ptr.To[int32](5432), Protocol: ptr.To(corev1.ProtocolTCP)}}, got[1].Ports); diff != "" {
		t.Error(diff)
	}
	meta := got[0].ObjectMeta
	if diff := cmp.Diff(map[string]string{"tier": "data", discoveryv1.LabelServiceName: "db", discoveryv1.LabelManagedBy: managedBy}, meta.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"note": "x"}, meta.Annotations); diff != "" || !metav1.IsControlledBy(got[0], endpoints) {
		t.Error(diff, meta.OwnerReferences)
	}
	if diff := cmp.Diff(got, Mirror(endpoints)); diff != "" {
		t.Errorf("not stable: %s", diff)
	}
}

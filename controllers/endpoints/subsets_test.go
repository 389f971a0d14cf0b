package endpoints

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(name, ip string, ready bool, change func(*corev1.Pod)) *corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"},
		Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}, {IP: "fd00::" + name}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}},
		},
	}
	if change != nil {
		change(p)
	}
	return p
}

func service(change func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns"},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.96.0.7", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "web", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	if change != nil {
		change(svc)
	}
	return svc
}

// text writes subsets as ready|notReady:ports, which is easier to compare.
func text(subsets []corev1.EndpointSubset) []string {
	var out []string
	for _, s := range subsets {
		line := ""
		for _, a := range s.Addresses {
			line += a.IP + " "
		}
		line += "|"
		for _, a := range s.NotReadyAddresses {
			line += " " + a.IP
		}
		for _, p := range s.Ports {
			line += fmt.Sprintf(" :%s/%d/%s", p.Name, p.Port, p.Protocol)
		}
		out = append(out, line)
	}
	return out
}

func TestSubsets(t *testing.T) {
	ended := func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	tests := []struct {
		name string
		svc  *corev1.Service
		pods []*corev1.Pod
		want []string
	}{
		{"ready and not, in order of address", service(nil), []*corev1.Pod{pod("c", "10.0.0.10", true, nil), pod("a", "10.0.0.9", true, nil), pod("b", "10.0.0.2", false, nil)},
			[]string{"10.0.0.9 10.0.0.10 | 10.0.0.2 :web/8080/TCP"}},
		{"ended, deleted and addressless pods are left out", service(nil), []*corev1.Pod{
			pod("a", "10.0.0.1", true, ended), pod("b", "10.0.0.2", true, deleted), pod("c", "", true, func(p *corev1.Pod) { p.Status.PodIPs = nil }),
		}, nil},
		{"publishNotReadyAddresses", service(func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }),
			[]*corev1.Pod{pod("a", "10.0.0.1", false, nil), pod("b", "10.0.0.2", true, deleted)},
			[]string{"10.0.0.1 10.0.0.2 | :web/8080/TCP"}},
		{"a named port differs between pods", service(nil), []*corev1.Pod{
			pod("a", "10.0.0.1", true, nil),
			pod("b", "10.0.0.2", true, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 9090 }),
			pod("c", "10.0.0.3", true, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil }),
		}, []string{"10.0.0.1 | :web/8080/TCP", "10.0.0.2 | :web/9090/TCP"}},
		{"headless without ports", service(func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.Ports = corev1.ClusterIPNone, nil }),
			[]*corev1.Pod{pod("a", "10.0.0.1", true, nil)}, []string{"10.0.0.1 |"}},
		{"second family", service(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }),
			[]*corev1.Pod{pod("a", "10.0.0.1", true, nil)}, []string{"fd00::a | :web/8080/TCP"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, text(Subsets(test.svc, test.pods))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	subset := func(ready, notReady int) corev1.EndpointSubset {
		return corev1.EndpointSubset{Addresses: make([]corev1.EndpointAddress, ready), NotReadyAddresses: make([]corev1.EndpointAddress, notReady)}
	}
	for _, test := range []struct {
		in          [][2]int
		over        bool
		ready, rest int
	}{
		{[][2]int{{1000, 0}}, false, 1000, 0},
		{[][2]int{{900, 200}}, true, 900, 100},
		{[][2]int{{1500, 10}}, true, 1000, 0},
		{[][2]int{{700, 100}, {700, 100}, {1, 0}}, true, 1000, 0},
		{[][2]int{{300, 333}, {300, 333}, {300, 333}}, true, 900, 100},
	} {
		var subsets []corev1.EndpointSubset
		for _, s := range test.in {
			subsets = append(subsets, subset(s[0], s[1]))
		}
		over := Truncate(subsets)
		ready, rest := 0, 0
		for _, s := range subsets {
			ready += len(s.Addresses)
			rest += len(s.NotReadyAddresses)
		}
		if over != test.over || ready != test.ready || rest != test.rest {
			t.Errorf("%v: %t, %d ready and %d not; want %t, %d and %d", test.in, over, ready, rest, test.over, test.ready, test.rest)
		}
	}
}

func TestDesired(t *testing.T) {
	svc := service(func(s *corev1.Service) {
		s.Labels = map[string]string{"tier": "front"}
		s.Spec.ClusterIP = corev1.ClusterIPNone
	})
	trigger := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	got := Desired(svc, &corev1.Endpoints{}, nil, true, trigger) //nolint:staticcheck // the deprecated API is the point
	if diff := cmp.Diff(map[string]string{"tier": "front", corev1.IsHeadlessService: "", managedByLabel: managedBy}, got.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{corev1.EndpointsOverCapacity: "truncated", corev1.EndpointsLastChangeTriggerTime: "2026-03-01T12:00:00.000000005Z"}, got.Annotations); diff != "" {
		t.Error(diff)
	}
	svc.Spec.ClusterIP = "10.96.0.7"
	got = Desired(svc, got, nil, false, time.Time{})
	if _, headless := got.Labels[corev1.IsHeadlessService]; headless || len(got.Annotations) != 0 || got.Name != "web" {
		t.Errorf("%+v", got.ObjectMeta)
	}
}

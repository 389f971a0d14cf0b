package framework

import (
	"testing"

	fwk "k8s.io/kube-scheduler/framework"
)

func TestFitErrorSpeaksAsKube(t *testing.T) {
	reject := func(reasons ...string) *fwk.Status { return fwk.NewStatus(fwk.Unschedulable, reasons...) }
	for name, test := range map[string]struct {
		err  *FitError
		want string
	}{
		"no nodes": {&FitError{}, "no nodes available to schedule pods"},
		"several reasons": {
			&FitError{NumNodes: 5, Statuses: map[string]*fwk.Status{
				"a": reject("Insufficient cpu"), "b": reject("Insufficient cpu", "Insufficient memory"), "c": reject("Insufficient cpu"),
				"d": reject("node(s) were unschedulable"), "e": reject("node(s) had untolerated taint(s)"),
			}},
			"0/5 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 3 Insufficient cpu.",
		},
		"pre-filter":  {&FitError{NumNodes: 2, PreFilter: reject("pod has unbound immediate PersistentVolumeClaims")}, "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."},
		"post-filter": {&FitError{NumNodes: 1, Statuses: map[string]*fwk.Status{"a": reject("Too many pods")}, PostFilter: "preemption: none"}, "0/1 nodes are available: 1 Too many pods. preemption: none"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

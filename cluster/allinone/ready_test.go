package allinone

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestIsReady(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for name, test := range map[string]struct {
		status corev1.ConditionStatus
		heard  time.Time
		want   bool
	}{
		"ready now":              {corev1.ConditionTrue, start.Add(time.Second), true},
		"within the second":      {corev1.ConditionTrue, start.Truncate(time.Second), true},
		"before the restart":     {corev1.ConditionTrue, start.Add(-time.Minute), false},
		"not ready":              {corev1.ConditionFalse, start.Add(time.Second), false},
		"the agent is not heard": {corev1.ConditionUnknown, start.Add(time.Second), false},
	} {
		node := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: test.status, LastHeartbeatTime: metav1.NewTime(test.heard)},
		}}}
		if got := isReady(node, start); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if isReady(&corev1.Node{}, start) {
		t.Error("a node without conditions is ready")
	}
}

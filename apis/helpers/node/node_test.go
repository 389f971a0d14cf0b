package node

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRolesAndAddresses(t *testing.T) {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "", "kubernetes.io/role": "edge", "kubernetes.io/os": "linux"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "h"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}},
	}
	if got := Roles(n); !slices.Equal(got, []string{"edge", "worker"}) {
		t.Errorf("roles %v", got)
	}
	if Address(n, corev1.NodeInternalIP) != "10.0.0.1" || Address(n, corev1.NodeExternalIP) != "" {
		t.Error("addresses")
	}
	n.Spec.PodCIDR = "10.244.0.0/24"
	if got := PodCIDRs(n); !slices.Equal(got, []string{"10.244.0.0/24"}) {
		t.Errorf("ranges %v", got)
	}
}

func TestConditions(t *testing.T) {
	early, late := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(200, 0))
	n := &corev1.Node{}
	if IsReady(n) {
		t.Error("a node without conditions is ready")
	}
	if !SetCondition(&n.Status, NewCondition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "", early)) || !IsReady(n) {
		t.Errorf("%+v", n.Status.Conditions)
	}
	if SetCondition(&n.Status, NewCondition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "", late)) {
		t.Error("a heartbeat counts as a change")
	}
	ready := Condition(&n.Status, corev1.NodeReady)
	if ready.LastHeartbeatTime != late || ready.LastTransitionTime != early {
		t.Errorf("%+v", ready)
	}
	if !SetCondition(&n.Status, NewCondition(corev1.NodeReady, corev1.ConditionUnknown, "NodeStatusUnknown", "", late)) || ready.LastTransitionTime != late {
		t.Errorf("%+v", ready)
	}
}

func TestTaints(t *testing.T) {
	taint := corev1.Taint{Key: "a", Value: "1", Effect: corev1.TaintEffectNoSchedule}
	other := corev1.Taint{Key: "a", Effect: corev1.TaintEffectNoExecute}
	n := &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{taint, other}}}
	if !HasTaint(n, &corev1.Taint{Key: "a", Effect: corev1.TaintEffectNoExecute}) || HasTaint(n, &corev1.Taint{Key: "b"}) {
		t.Error("HasTaint")
	}
	changed := WithTaint(n.Spec.Taints, corev1.Taint{Key: "a", Value: "2", Effect: corev1.TaintEffectNoSchedule})
	if len(changed) != 2 || changed[1].Value != "2" || n.Spec.Taints[0].Value != "1" {
		t.Errorf("%v from %v", changed, n.Spec.Taints)
	}
	if left := WithoutTaint(n.Spec.Taints, &taint); len(left) != 1 || left[0] != other || len(n.Spec.Taints) != 2 {
		t.Errorf("%v from %v", left, n.Spec.Taints)
	}
}

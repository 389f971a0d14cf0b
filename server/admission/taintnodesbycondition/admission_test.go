package taintnodesbycondition

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

func TestAdmit(t *testing.T) {
	notReady := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: "NoSchedule"}
	other := corev1.Taint{Key: "example.com/gpu", Effect: "NoSchedule"}
	for name, tc := range map[string]struct{ have, want []corev1.Taint }{
		"none":    {nil, []corev1.Taint{notReady}},
		"another": {[]corev1.Taint{other}, []corev1.Taint{other, notReady}},
		"already": {[]corev1.Taint{notReady}, []corev1.Taint{notReady}},
	} {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{Spec: corev1.NodeSpec{Taints: tc.have}}
			a := admission.NewAttributesRecord(node, nil, schema.GroupVersionKind{}, "", "n", corev1.SchemeGroupVersion.WithResource("nodes"), "", admission.Create, nil, false, nil)
			if err := New().Admit(context.Background(), a, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, node.Spec.Taints); diff != "" {
				t.Error(diff)
			}
		})
	}
	if New().Handles(admission.Update) {
		t.Error("nodes are tainted when they are new only")
	}
}

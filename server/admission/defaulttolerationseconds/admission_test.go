package defaulttolerationseconds

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

func TestAdmit(t *testing.T) {
	notReady := corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: ptr.To[int64](300)}
	unreachable := corev1.Toleration{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: ptr.To[int64](300)}
	forEver := corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"}
	anyEffect := corev1.Toleration{Key: "node.kubernetes.io/unreachable", Operator: "Exists"}
	everything := corev1.Toleration{Operator: "Exists"}
	noSchedule := corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoSchedule"}
	for name, tc := range map[string]struct {
		have, want  []corev1.Toleration
		subresource string
	}{
		"none":           {nil, []corev1.Toleration{notReady, unreachable}, ""},
		"one of them":    {[]corev1.Toleration{forEver}, []corev1.Toleration{forEver, unreachable}, ""},
		"every effect":   {[]corev1.Toleration{anyEffect}, []corev1.Toleration{anyEffect, notReady}, ""},
		"everything":     {[]corev1.Toleration{everything}, []corev1.Toleration{everything}, ""},
		"another effect": {[]corev1.Toleration{noSchedule}, []corev1.Toleration{noSchedule, notReady, unreachable}, ""},
		"status":         {nil, nil, "status"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: tc.have}}
			a := admission.NewAttributesRecord(pod, nil, schema.GroupVersionKind{}, "ns", "p", corev1.SchemeGroupVersion.WithResource("pods"), tc.subresource, admission.Create, nil, false, nil)
			if err := New(300, 300).Admit(context.Background(), a, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, pod.Spec.Tolerations); diff != "" {
				t.Error(diff)
			}
		})
	}
}

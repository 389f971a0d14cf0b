package autoscaling_test

import (
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skiff-project/skiff/e2e/testenv"
)

// TestBothVersions writes an autoscaler in each version and reads and changes it
// in the other one.
func TestBothVersions(t *testing.T) {
	env := testenv.Start(t)
	ns := env.Namespace(t)
	v1, v2 := env.Client.AutoscalingV1().HorizontalPodAutoscalers(ns), env.Client.AutoscalingV2().HorizontalPodAutoscalers(ns)

	target := int32(50)
	old := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "old"}}
	old.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef:                 autoscalingv1.CrossVersionObjectReference{Kind: "Deployment", Name: "web", APIVersion: "apps/v1"},
		MaxReplicas:                    3,
		TargetCPUUtilizationPercentage: &target,
	}
	if _, err := v1.Create(t.Context(), old, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	hub, err := v2.Get(t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(hub.Spec.Metrics) != 1 || hub.Spec.Metrics[0].Resource == nil || *hub.Spec.Metrics[0].Resource.Target.AverageUtilization != target {
		t.Fatalf("v2 shows the metrics %+v", hub.Spec.Metrics)
	}

	hub.Spec.Metrics = append(hub.Spec.Metrics, autoscalingv2.MetricSpec{
		Type: autoscalingv2.ContainerResourceMetricSourceType,
		ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
			Name: corev1.ResourceMemory, Container: "c",
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &target},
		},
	})
	if _, err := v2.Update(t.Context(), hub, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	// A client that knows v1 only must not lose what it cannot see.
	if _, err := v1.Patch(t.Context(), "old", types.MergePatchType, []byte(`{"spec":{"maxReplicas":7}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if hub, err = v2.Get(t.Context(), "old", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if hub.Spec.MaxReplicas != 7 || len(hub.Spec.Metrics) != 2 {
		t.Errorf("after a patch through v1: max %d, metrics %+v", hub.Spec.MaxReplicas, hub.Spec.Metrics)
	}
	list, err := v1.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Spec.MaxReplicas != 7 {
		t.Errorf("v1 lists %+v (%v)", list, err)
	}
}

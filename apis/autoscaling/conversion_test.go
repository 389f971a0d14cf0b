package autoscaling

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"
)

// TestRoundTrip checks that a client of v1 gives back all that a v2 autoscaler
// has.
func TestRoundTrip(t *testing.T) {
	s := runtime.NewScheme()
	if err := AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	f := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, func(serializer.CodecFactory) []any { return metricFuzzers() }),
		rand.NewSource(1), serializer.NewCodecFactory(s))
	for range 300 {
		h := &autoscalingv2.HorizontalPodAutoscaler{}
		f.Fill(h)
		h.TypeMeta.Reset()
		h.Annotations = dropAnnotations(h.Annotations)
		sortCPU(h)
		list := &autoscalingv2.HorizontalPodAutoscalerList{Items: []autoscalingv2.HorizontalPodAutoscaler{*h}}
		v1, err := s.ConvertToVersion(list.DeepCopy(), autoscalingv1.SchemeGroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.ConvertToVersion(v1, autoscalingv2.SchemeGroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		got := &back.(*autoscalingv2.HorizontalPodAutoscalerList).Items[0]
		if len(got.Annotations) == 0 && len(h.Annotations) == 0 {
			got.Annotations = h.Annotations
		}
		if !equality.Semantic.DeepEqual(h, got) {
			t.Fatalf("lost on the way through v1:\n%s", cmp.Diff(h, got))
		}
	}
}

// sortCPU puts the CPU target last, where the way through v1 puts it: the order
// of metrics means nothing.
func sortCPU(h *autoscalingv2.HorizontalPodAutoscaler) {
	var others []autoscalingv2.MetricSpec
	for _, m := range h.Spec.Metrics {
		if !isCPUUtilization(m) {
			others = append(others, m)
		}
	}
	h.Spec.Metrics = append(others, cpuUtilization(42))
}

// metricFuzzers makes metrics that are valid as far as the conversion relies on
// it: one source that goes with the type, and its target's type with its values.
func metricFuzzers() []any {
	quantity := func(c randfill.Continue) *resource.Quantity {
		return resource.NewQuantity(int64(c.Intn(1000)+1), resource.DecimalSI)
	}
	percentage := func(c randfill.Continue) *int32 { p := c.Int31n(100) + 1; return &p }
	resourceTarget := func(c randfill.Continue) autoscalingv2.MetricTarget {
		if c.Bool() {
			return autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: percentage(c)}
		}
		return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: quantity(c)}
	}
	valueTarget := func(c randfill.Continue) autoscalingv2.MetricTarget {
		if c.Bool() {
			return autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: quantity(c)}
		}
		return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: quantity(c)}
	}
	return []any{
		func(m *autoscalingv2.MetricSpec, c randfill.Continue) {
			switch c.Intn(5) {
			case 0:
				*m = autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceMemory, Target: resourceTarget(c)}}
			case 1:
				*m = autoscalingv2.MetricSpec{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: corev1.ResourceCPU, Container: c.String(8), Target: resourceTarget(c)}}
			case 2:
				*m = autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: c.String(8)}, Target: valueTarget(c)}}
			case 3:
				o := &autoscalingv2.ObjectMetricSource{Target: valueTarget(c)}
				c.Fill(&o.DescribedObject)
				c.Fill(&o.Metric.Name)
				*m = autoscalingv2.MetricSpec{Type: autoscalingv2.ObjectMetricSourceType, Object: o}
			default:
				*m = autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: c.String(8)}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: quantity(c)}}}
			}
		},
		func(m *autoscalingv2.MetricStatus, c randfill.Continue) {
			current := autoscalingv2.MetricValueStatus{AverageValue: quantity(c)}
			switch c.Intn(3) {
			case 0:
				current.AverageUtilization = percentage(c)
				*m = autoscalingv2.MetricStatus{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricStatus{Name: corev1.ResourceCPU, Current: current}}
			case 1:
				*m = autoscalingv2.MetricStatus{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: c.String(8)}, Current: current}}
			default:
				current.Value = quantity(c)
				*m = autoscalingv2.MetricStatus{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: c.String(8)}, Current: current}}
			}
		},
		func(q *resource.Quantity, c randfill.Continue) { *q = *quantity(c) },
	}
}

// TestUnreadableAnnotations checks that what users write into the annotations
// cannot break anything.
func TestUnreadableAnnotations(t *testing.T) {
	in := &autoscalingv1.HorizontalPodAutoscaler{}
	in.Annotations = map[string]string{
		metricsAnnotation: "no", behaviorAnnotation: "[", conditionsAnnotation: "{}", currentMetricsAnnotation: "1", "keep": "me",
	}
	out := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := FromV1(in, out); err != nil {
		t.Fatal(err)
	}
	want := []autoscalingv2.MetricSpec{cpuUtilization(defaultCPUUtilization)}
	if !equality.Semantic.DeepEqual(out.Spec.Metrics, want) || out.Spec.Behavior != nil || out.Status.Conditions != nil {
		t.Errorf("read %+v", out)
	}
	if diff := cmp.Diff(map[string]string{"keep": "me"}, out.Annotations); diff != "" {
		t.Error(diff)
	}
}

// TestBehaviorAnnotation checks the names in the annotation, which clients read.
func TestBehaviorAnnotation(t *testing.T) {
	in := &autoscalingv2.HorizontalPodAutoscaler{}
	in.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{}
	SetDefaultsHorizontalPodAutoscaler(in)
	out := &autoscalingv1.HorizontalPodAutoscaler{}
	if err := ToV1(in, out); err != nil {
		t.Fatal(err)
	}
	want := `{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15},` +
		`{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max",` +
		`"Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}}`
	if diff := cmp.Diff(want, out.Annotations[behaviorAnnotation]); diff != "" {
		t.Error(diff)
	}
}

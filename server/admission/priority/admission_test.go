package priority

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func class(name string, value int32, isDefault bool, policy *corev1.PreemptionPolicy) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: isDefault, PreemptionPolicy: policy}
}

// plugin returns one whose informer knows seen, and whose client knows also live.
func plugin(t *testing.T, seen []*schedulingv1.PriorityClass, live ...runtime.Object) *Plugin {
	t.Helper()
	p := New()
	client := fake.NewClientset(live...)
	factory := informers.NewSharedInformerFactory(client, 0)
	p.SetExternalKubeClientSet(client)
	p.SetExternalKubeInformerFactory(factory)
	p.SetReadyFunc(func() bool { return true })
	if err := p.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	for _, c := range seen {
		if err := factory.Scheduling().V1().PriorityClasses().Informer().GetIndexer().Add(c); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func attributes(obj, old runtime.Object, resource schema.GroupVersionResource, operation admission.Operation) admission.Attributes {
	name := obj.(metav1.Object).GetName()
	return admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, "ns", name, resource, "", operation, nil, false, nil)
}

var (
	pods    = corev1.SchemeGroupVersion.WithResource("pods")
	classes = schedulingv1.SchemeGroupVersion.WithResource("priorityclasses")
)

// Conformance: "PriorityClass endpoints verify PriorityClass endpoints can be
// operated with different HTTP methods" needs what the classes mean.
func TestAdmitNewPod(t *testing.T) {
	never := corev1.PreemptNever
	high, low := class("high", 1000, false, nil), class("low", -5, false, &never)
	for _, tc := range []struct {
		name         string
		classes      []*schedulingv1.PriorityClass
		pod          corev1.PodSpec
		wantClass    string
		wantPriority int32
		wantPolicy   corev1.PreemptionPolicy
		err          string
	}{
		{"no class at all", nil, corev1.PodSpec{}, "", 0, corev1.PreemptLowerPriority, ""},
		{"default class", []*schedulingv1.PriorityClass{high, class("std", 10, true, nil)}, corev1.PodSpec{}, "std", 10, corev1.PreemptLowerPriority, ""},
		{"lowest of two defaults", []*schedulingv1.PriorityClass{class("b", 20, true, nil), class("a", 10, true, nil)}, corev1.PodSpec{}, "a", 10, corev1.PreemptLowerPriority, ""},
		{"named", []*schedulingv1.PriorityClass{high, low}, corev1.PodSpec{PriorityClassName: "low"}, "low", -5, corev1.PreemptNever, ""},
		{"right number given", []*schedulingv1.PriorityClass{high}, corev1.PodSpec{PriorityClassName: "high", Priority: ptr.To[int32](1000)}, "high", 1000, corev1.PreemptLowerPriority, ""},
		{"not seen yet", nil, corev1.PodSpec{PriorityClassName: "live"}, "live", 7, corev1.PreemptLowerPriority, ""},
		{"unknown", nil, corev1.PodSpec{PriorityClassName: "none"}, "", 0, "", `pods "p" is forbidden: no PriorityClass with name none was found`},
		{"wrong number", []*schedulingv1.PriorityClass{high}, corev1.PodSpec{PriorityClassName: "high", Priority: ptr.To[int32](5)}, "", 0, "",
			"the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name"},
		{"wrong policy", []*schedulingv1.PriorityClass{high}, corev1.PodSpec{PriorityClassName: "high", PreemptionPolicy: &never}, "", 0, "",
			"the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: tc.pod}
			err := plugin(t, tc.classes, class("live", 7, false, nil)).Admit(context.Background(), attributes(pod, nil, pods, admission.Create), nil)
			if tc.err != "" {
				if err == nil || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if pod.Spec.PriorityClassName != tc.wantClass || *pod.Spec.Priority != tc.wantPriority || *pod.Spec.PreemptionPolicy != tc.wantPolicy {
				t.Errorf("got %q %d %s", pod.Spec.PriorityClassName, *pod.Spec.Priority, *pod.Spec.PreemptionPolicy)
			}
		})
	}
}

func TestUpdateKeepsComputedFields(t *testing.T) {
	old := &corev1.Pod{Spec: corev1.PodSpec{Priority: ptr.To[int32](3), PreemptionPolicy: ptr.To(corev1.PreemptNever)}}
	pod := &corev1.Pod{}
	if err := plugin(t, nil).Admit(context.Background(), attributes(pod, old, pods, admission.Update), nil); err != nil {
		t.Fatal(err)
	}
	if ptr.Deref(pod.Spec.Priority, 0) != 3 || ptr.Deref(pod.Spec.PreemptionPolicy, "") != corev1.PreemptNever {
		t.Errorf("got %+v", pod.Spec)
	}
}

func TestOneGlobalDefault(t *testing.T) {
	existing := class("first", 1, true, nil)
	for _, tc := range []struct {
		name      string
		obj       *schedulingv1.PriorityClass
		operation admission.Operation
		err       string
	}{
		{"a second", class("second", 2, true, nil), admission.Create, "PriorityClass first is already marked as default. Only one default can exist"},
		{"another becomes one", class("second", 2, true, nil), admission.Update, "PriorityClass first is already marked as default. Only one default can exist"},
		{"the same", class("first", 1, true, nil), admission.Update, ""},
		{"no default", class("second", 2, false, nil), admission.Create, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := plugin(t, []*schedulingv1.PriorityClass{existing}).Validate(context.Background(), attributes(tc.obj, nil, classes, tc.operation), nil)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
}

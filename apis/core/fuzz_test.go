package core

import (
	"context"
	"math/rand"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
)

// newFiller fills objects at random, with types that have rules of their own
// inside filled lawfully.
func newFiller(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.4).NumElements(0, 3).MaxDepth(30).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(c.Int63n(1<<40)-1<<20, resource.DecimalSI)
		},
		func(t *metav1.Time, c randfill.Continue) { *t = metav1.NewTime(time.Unix(c.Int63n(1<<31), 0)) },
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.NewMicroTime(time.Unix(c.Int63n(1<<31), 0))
		},
		func(v *intstr.IntOrString, c randfill.Continue) {
			if c.Bool() {
				*v = intstr.FromString(c.String(8))
			} else {
				*v = intstr.FromInt32(int32(c.Uint32()))
			}
		},
		func(f *metav1.FieldsV1, c randfill.Continue) {},
		func(t *metav1.TypeMeta, c randfill.Continue) {},
		func(l *corev1.ResourceList, c randfill.Continue) {
			*l = corev1.ResourceList{}
			for _, name := range []corev1.ResourceName{"cpu", "memory", "hugepages-2Mi", "example.com/gpu", "odd", ""} {
				if c.Bool() {
					(*l)[name] = *resource.NewMilliQuantity(c.Int63n(1<<40)-1<<10, resource.DecimalSI)
				}
			}
		},
	)
}

// checkAnything runs every hook of every row on random objects: whatever a client
// sends, the server must answer and not panic.
func checkAnything(t *testing.T, seed int64) {
	s, _ := newTestScheme(t)
	ctx := context.Background()
	for _, row := range Resources() {
		filler := newFiller(seed)
		obj, old := row.New(), row.New()
		filler.Fill(obj)
		filler.Fill(old)
		s.Default(obj)
		s.Default(old)
		once := obj.DeepCopyObject()
		s.Default(obj)
		if !equality.Semantic.DeepEqual(once, obj) {
			t.Errorf("seed %d: %s: defaulting twice changes the object: %s", seed, row.Plural, diff.Diff(once, obj))
		}
		kept := old.DeepCopyObject()
		run := func(obj runtime.Object) {
			row.Validate(ctx, obj)
			row.ValidateUpdate(ctx, obj, old)
			if row.ValidateStatusUpdate != nil {
				row.ValidateStatusUpdate(ctx, obj, old)
			}
			if row.Warnings != nil {
				row.Warnings(ctx, obj, nil)
				row.Warnings(ctx, obj, old)
			}
			if row.GracePeriod != nil {
				row.GracePeriod(ctx, obj, &metav1.DeleteOptions{})
			}
			if row.DeleteOnUpdate != nil {
				row.DeleteOnUpdate(ctx, obj, old)
			}
			if row.RowConditions != nil {
				row.RowConditions(obj)
			}
			for _, column := range row.Columns {
				column.Value(obj)
			}
			for _, f := range row.Fields {
				f.Value(obj)
			}
		}
		run(obj)
		for _, prepare := range []func(context.Context, runtime.Object, runtime.Object){row.PrepareForUpdate, row.PrepareForStatusUpdate} {
			if prepare != nil {
				changed := obj.DeepCopyObject()
				prepare(ctx, changed, old)
				run(changed)
			}
		}
		if row.PrepareForCreate != nil {
			row.PrepareForCreate(ctx, obj)
			run(obj)
		}
		if !equality.Semantic.DeepEqual(kept, old) {
			t.Errorf("seed %d: %s: a hook changed the old object: %s", seed, row.Plural, diff.Diff(kept, old))
		}
	}
	checkPodParts(ctx, seed)
}

// checkPodParts runs the rules of the pod's subresources.
func checkPodParts(ctx context.Context, seed int64) {
	filler := newFiller(seed + 1)
	var pod, old corev1.Pod
	filler.Fill(&pod)
	filler.Fill(&old)
	ValidatePodEphemeralContainersUpdate(ctx, &pod, &old)
	ValidatePodResize(ctx, &pod, &old)
	ValidatePodResize(ctx, old.DeepCopy(), &old)
	ValidatePodUpdate(ctx, old.DeepCopy(), &old)
}

func TestHooksSurviveAnything(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 150 {
		checkAnything(t, random.Int63())
	}
}

func FuzzHooks(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, seed int64) { checkAnything(t, seed) })
}

// TestSameObjectIsAlwaysAnUpdate checks that writing a pod back unchanged is never
// refused for immutability, whatever is in it.
func TestSamePodIsALawfulUpdate(t *testing.T) {
	s, _ := newTestScheme(t)
	ctx := context.Background()
	for seed := range int64(100) {
		var pod corev1.Pod
		newFiller(seed).Fill(&pod)
		s.Default(&pod)
		pod.ObjectMeta = metav1.ObjectMeta{Name: "p", Namespace: "default", ResourceVersion: "1"}
		for i := range pod.Spec.Tolerations {
			pod.Spec.Tolerations[i] = corev1.Toleration{Operator: corev1.TolerationOpExists}
		}
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].Image = "i"
		}
		for i := range pod.Spec.InitContainers {
			pod.Spec.InitContainers[i].Image = "i"
		}
		for i := range pod.Spec.EphemeralContainers {
			pod.Spec.EphemeralContainers[i].Image = "i"
		}
		pod.Spec.ActiveDeadlineSeconds = nil
		same := pod.DeepCopy()
		preparePodForUpdate(ctx, same, &pod)
		if errs := ValidatePodUpdate(ctx, same, &pod); len(errs) > 0 {
			t.Errorf("seed %d: %v", seed, errs.ToAggregate())
		}
	}
}

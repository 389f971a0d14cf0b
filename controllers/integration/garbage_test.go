package integration

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

// thing makes a ConfigMap with owners; they stand for any kind.
func thing(t *testing.T, env *testenv.Env, ns, name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	t.Helper()
	cm, err := env.Client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

func owner(cm *corev1.ConfigMap, block bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: cm.Name, UID: cm.UID, BlockOwnerDeletion: ptr.To(block)}
}

func remove(t *testing.T, env *testenv.Env, ns, name string, policy metav1.DeletionPropagation) {
	t.Helper()
	err := env.Client.CoreV1().ConfigMaps(ns).Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, env *testenv.Env, ns string, names ...string) {
	t.Helper()
	testkit.Eventually(t, func(ctx context.Context) error {
		for _, name := range names {
			if _, err := env.Client.CoreV1().ConfigMaps(ns).Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s is still there (%v)", name, err)
			}
		}
		return nil
	})
}

// Conformance: "Garbage collector should delete pods created by rc when not
// orphaning" and its like: dependents go with their owner, level by level.
func TestGarbageBackground(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	top := thing(t, env, ns, "top")
	middle := thing(t, env, ns, "middle", owner(top, false))
	thing(t, env, ns, "bottom", owner(middle, false))
	remove(t, env, ns, "top", metav1.DeletePropagationBackground)
	gone(t, env, ns, "top", "middle", "bottom")
}

// Conformance: "should keep the rc around until all its pods are deleted if the
// deleteOptions says so".
func TestGarbageForeground(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	ctx := t.Context()
	top := thing(t, env, ns, "top")
	_, err := env.Client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "held", OwnerReferences: []metav1.OwnerReference{owner(top, true)}, Finalizers: []string{"example.com/hold"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	thing(t, env, ns, "free", owner(top, true))
	remove(t, env, ns, "top", metav1.DeletePropagationForeground)
	gone(t, env, ns, "free")
	testkit.Eventually(t, func(ctx context.Context) error {
		held, err := env.Client.CoreV1().ConfigMaps(ns).Get(ctx, "held", metav1.GetOptions{})
		if err == nil && held.DeletionTimestamp == nil {
			err = fmt.Errorf("the dependent is not being deleted")
		}
		return err
	})
	if cm, err := env.Client.CoreV1().ConfigMaps(ns).Get(ctx, "top", metav1.GetOptions{}); err != nil || cm.DeletionTimestamp == nil {
		t.Errorf("the owner should wait for its dependent: %v, %v", cm, err)
	}
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	gone(t, env, ns, "held", "top")
}

// Conformance: "should orphan pods created by rc if delete options say so".
func TestGarbageOrphan(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	top := thing(t, env, ns, "top")
	other := thing(t, env, ns, "other")
	thing(t, env, ns, "child", owner(top, true), owner(other, false))
	remove(t, env, ns, "top", metav1.DeletePropagationOrphan)
	gone(t, env, ns, "top")
	child, err := env.Client.CoreV1().ConfigMaps(ns).Get(t.Context(), "child", metav1.GetOptions{})
	if err != nil || len(child.OwnerReferences) != 1 || child.OwnerReferences[0].UID != other.UID {
		t.Errorf("child %v, %v", child, err)
	}
}

// Conformance: "should not be blocked by dependency circle".
func TestGarbageCircle(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	one := thing(t, env, ns, "one")
	two := thing(t, env, ns, "two", owner(one, true))
	three := thing(t, env, ns, "three", owner(two, true))
	patch := fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"three","uid":%q,"blockOwnerDeletion":true}]}}`, three.UID)
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "one", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	remove(t, env, ns, "one", metav1.DeletePropagationForeground)
	gone(t, env, ns, "one", "two", "three")
}

// Conformance: "should not delete dependents that have both valid owner and owner
// that's waiting for dependents to be deleted".
func TestGarbageTwoOwners(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	leaving, staying := thing(t, env, ns, "leaving"), thing(t, env, ns, "staying")
	thing(t, env, ns, "shared", owner(leaving, true), owner(staying, true))
	remove(t, env, ns, "leaving", metav1.DeletePropagationForeground)
	gone(t, env, ns, "leaving")
	testkit.Eventually(t, func(ctx context.Context) error {
		shared, err := env.Client.CoreV1().ConfigMaps(ns).Get(ctx, "shared", metav1.GetOptions{})
		if err == nil && (shared.DeletionTimestamp != nil || len(shared.OwnerReferences) != 1) {
			err = fmt.Errorf("shared: %+v", shared.ObjectMeta)
		}
		return err
	})
}

func TestGarbageAbsentOwner(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	thing(t, env, ns, "lost", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "never", UID: "11111111-2222-3333-4444-555555555555"})
	gone(t, env, ns, "lost")
	// An owner of that name but with another UID is not the owner.
	impostor := thing(t, env, ns, "owner")
	ref := owner(impostor, false)
	ref.UID = "99999999-2222-3333-4444-555555555555"
	thing(t, env, ns, "lost", ref)
	gone(t, env, ns, "lost")
}

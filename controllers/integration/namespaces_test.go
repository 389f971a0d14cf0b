package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skiff-project/skiff/controllers/rootca"
	"github.com/skiff-project/skiff/controllers/testkit"
)

// Conformance: "ServiceAccounts should guarantee kube-root-ca.crt exist in any
// namespace" (created, recreated if deleted, mended if changed).
func TestNamespaceGetsAccountAndRootCA(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	exists := func(ctx context.Context) error {
		_, err := env.Client.CoreV1().ServiceAccounts(ns).Get(ctx, "default", metav1.GetOptions{})
		cm, errCM := env.Client.CoreV1().ConfigMaps(ns).Get(ctx, rootca.ConfigMapName, metav1.GetOptions{})
		if errCM == nil && cm.Data[rootca.DataKey] != string(testCA) {
			errCM = fmt.Errorf("data %v", cm.Data)
		}
		return errors.Join(err, errCM)
	}
	testkit.Eventually(t, exists)
	ctx := t.Context()
	if err := env.Client.CoreV1().ServiceAccounts(ns).Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.CoreV1().ConfigMaps(ns).Delete(ctx, rootca.ConfigMapName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, exists)
	patch := []byte(`{"data":{"ca.crt":"forged","more":"x"}}`)
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Patch(ctx, rootca.ConfigMapName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, exists)
}

// Conformance: "Namespaces should ensure that all pods are removed when a
// namespace is deleted", "... all services ...", "OrderedNamespaceDeletion
// namespace deletion should delete pod first".
func TestNamespaceDeletion(t *testing.T) {
	env := start(t)
	ctx := t.Context()
	created, err := env.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "doomed-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ns := created.Name
	pod, err := env.Client.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}},
		Spec:       testkit.PodTemplate(nil).Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "needed"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		now, err := env.Client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		if err != nil {
			return err
		}
		messages := make(map[corev1.NamespaceConditionType]string)
		for _, c := range now.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				messages[c.Type] = c.Reason + ": " + c.Message
			}
		}
		if messages[corev1.NamespaceContentRemaining] != "SomeResourcesRemain: Some resources are remaining: pods. has 1 resource instances" ||
			messages[corev1.NamespaceFinalizersRemaining] != "SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances" {
			return fmt.Errorf("conditions %v", now.Status.Conditions)
		}
		return nil
	})
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Get(ctx, "needed", metav1.GetOptions{}); err != nil {
		t.Errorf("while a pod was left, the config map went: %v", err)
	}
	if _, err := env.Client.CoreV1().Pods(ns).Patch(ctx, pod.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		_, err := env.Client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("namespace still there (%v)", err)
	})
}

package core

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func namespaceResource() resource.Resource {
	return resource.Define[corev1.Namespace, corev1.NamespaceList](resource.Definition[corev1.Namespace]{
		Names: resource.Names{
			Kind:          corev1.SchemeGroupVersion.WithKind("Namespace"),
			Plural:        "namespaces",
			ShortNames:    []string{"ns"},
			ClusterScoped: true,
			NoGeneration:  true,
			Subresources:  []string{"finalize"},
		},
		PrepareForCreate:     prepareNamespaceForCreate,
		PrepareForUpdate:     prepareNamespaceForUpdate,
		Validate:             ValidateNamespace,
		ValidateUpdate:       ValidateNamespaceUpdate,
		ValidateStatusUpdate: ValidateNamespaceStatusUpdate,
		DeleteOnUpdate:       namespaceIsFinished,
		Columns: []resource.TypedColumn[corev1.Namespace]{
			columns.Name[corev1.Namespace](),
			columns.Text("Status", "The status of the namespace", func(ns *corev1.Namespace) string { return string(ns.Status.Phase) }),
			columns.Age[corev1.Namespace](),
		},
		Fields: []resource.TypedField[corev1.Namespace]{
			{Path: "status.phase", Value: func(ns *corev1.Namespace) string { return string(ns.Status.Phase) }},
		},
	})
}

// prepareNamespaceForCreate makes the namespace active and sees that it is not
// removed before its contents are (spec.finalizers has "kubernetes").
func prepareNamespaceForCreate(_ context.Context, ns *corev1.Namespace) {
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
	SetDefaultsNamespace(ns) // a generated name is known only now
}

// prepareNamespaceForUpdate keeps the finalizers, which only /finalize changes.
func prepareNamespaceForUpdate(_ context.Context, ns, old *corev1.Namespace) {
	ns.Spec.Finalizers = slices.Clone(old.Spec.Finalizers)
	ns.Status = *old.Status.DeepCopy()
}

// namespaceIsFinished reports that a namespace under deletion has no finalizer
// left of either kind.
func namespaceIsFinished(_ context.Context, ns, old *corev1.Namespace) bool {
	return old.DeletionTimestamp != nil && len(ns.Finalizers) == 0 && len(ns.Spec.Finalizers) == 0
}

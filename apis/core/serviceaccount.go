package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func serviceAccountResource() resource.Resource {
	return resource.Define[corev1.ServiceAccount, corev1.ServiceAccountList](resource.Definition[corev1.ServiceAccount]{
		Names: resource.Names{
			Kind:         corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
			Plural:       "serviceaccounts",
			ShortNames:   []string{"sa"},
			NoGeneration: true,
			Subresources: []string{"token"},
		},
		PrepareForCreate: func(_ context.Context, sa *corev1.ServiceAccount) { trimSecretReferences(sa) },
		PrepareForUpdate: func(_ context.Context, sa, _ *corev1.ServiceAccount) { trimSecretReferences(sa) },
		Validate:         ValidateServiceAccount,
		ValidateUpdate:   ValidateServiceAccountUpdate,
		Columns: []resource.TypedColumn[corev1.ServiceAccount]{
			columns.Name[corev1.ServiceAccount](),
			columns.Age[corev1.ServiceAccount](),
		},
	})
}

// trimSecretReferences keeps only the names of the referenced secrets: they can
// only be in the account's own namespace.
func trimSecretReferences(sa *corev1.ServiceAccount) {
	for i := range sa.Secrets {
		sa.Secrets[i] = corev1.ObjectReference{Name: sa.Secrets[i].Name}
	}
}

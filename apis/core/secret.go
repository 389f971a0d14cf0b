package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func secretResource() resource.Resource {
	return resource.Define[corev1.Secret, corev1.SecretList](resource.Definition[corev1.Secret]{
		Names: resource.Names{
			Kind:         corev1.SchemeGroupVersion.WithKind("Secret"),
			Plural:       "secrets",
			NoGeneration: true,
		},
		PrepareForCreate: func(_ context.Context, s *corev1.Secret) { mergeStringData(s) },
		PrepareForUpdate: func(_ context.Context, s, old *corev1.Secret) {
			mergeStringData(s)
			if s.Type == "" {
				s.Type = old.Type // the type cannot change, so leaving it out keeps it
			}
		},
		Validate:       ValidateSecret,
		ValidateUpdate: ValidateSecretUpdate,
		Columns: []resource.TypedColumn[corev1.Secret]{
			columns.Name[corev1.Secret](),
			columns.Text("Type", corev1.Secret{}.SwaggerDoc()["type"], func(s *corev1.Secret) string { return string(s.Type) }),
			columns.Number("Data", corev1.Secret{}.SwaggerDoc()["data"], func(s *corev1.Secret) int { return len(s.Data) }),
			columns.Age[corev1.Secret](),
		},
		Fields: []resource.TypedField[corev1.Secret]{
			{Path: "type", Value: func(s *corev1.Secret) string { return string(s.Type) }},
		},
	})
}

// mergeStringData moves the write-only plain texts of a secret into its data.
func mergeStringData(s *corev1.Secret) {
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

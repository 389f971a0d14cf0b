package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func configMapResource() resource.Resource {
	return resource.Define[corev1.ConfigMap, corev1.ConfigMapList](resource.Definition[corev1.ConfigMap]{
		Names: resource.Names{
			Kind:         corev1.SchemeGroupVersion.WithKind("ConfigMap"),
			Plural:       "configmaps",
			ShortNames:   []string{"cm"},
			NoGeneration: true,
		},
		Validate:       ValidateConfigMap,
		ValidateUpdate: ValidateConfigMapUpdate,
		Columns: []resource.TypedColumn[corev1.ConfigMap]{
			columns.Name[corev1.ConfigMap](),
			columns.Number("Data", corev1.ConfigMap{}.SwaggerDoc()["data"], func(c *corev1.ConfigMap) int {
				return len(c.Data) + len(c.BinaryData)
			}),
			columns.Age[corev1.ConfigMap](),
		},
	})
}

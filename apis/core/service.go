package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"
)

func serviceResource() resource.Resource {
	return resource.Define[corev1.Service, corev1.ServiceList](resource.Definition[corev1.Service]{
		Names: resource.Names{
			Kind:           corev1.SchemeGroupVersion.WithKind("Service"),
			Plural:         "services",
			ShortNames:     []string{"svc"},
			Categories:     []string{"all"},
			NoGeneration:   true,
			CreateOnUpdate: true,
			Subresources:   []string{"proxy"},
			KeyPrefix:      "services/specs",
		},
		PrepareForCreate:     prepareServiceForCreate,
		PrepareForUpdate:     prepareServiceForUpdate,
		Validate:             ValidateServiceCreate,
		ValidateUpdate:       ValidateServiceUpdate,
		ValidateStatusUpdate: ValidateServiceStatusUpdate,
		Warnings:             warnService,
		Columns:              serviceColumns(),
		Fields: []resource.TypedField[corev1.Service]{
			{Path: "spec.clusterIP", Value: func(s *corev1.Service) string { return s.Spec.ClusterIP }},
			{Path: "spec.type", Value: func(s *corev1.Service) string { return string(s.Spec.Type) }},
		},
	})
}

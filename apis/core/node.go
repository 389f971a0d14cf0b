package core

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"
)

func nodeResource() resource.Resource {
	return resource.Define[corev1.Node, corev1.NodeList](resource.Definition[corev1.Node]{
		Names: resource.Names{
			Kind:               corev1.SchemeGroupVersion.WithKind("Node"),
			Plural:             "nodes",
			ShortNames:         []string{"no"},
			ClusterScoped:      true,
			KeepStatusOnCreate: true,
			NoGeneration:       true,
			Subresources:       []string{"proxy"},
			KeyPrefix:          "minions",
		},
		Validate:             ValidateNode,
		ValidateUpdate:       ValidateNodeUpdate,
		ValidateStatusUpdate: ValidateNodeStatusUpdate,
		Warnings:             warnNode,
		Columns:              nodeColumns(),
		Fields: []resource.TypedField[corev1.Node]{
			{Path: "spec.unschedulable", Value: func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) }},
		},
	})
}

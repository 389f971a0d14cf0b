package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var templatePath = field.NewPath("spec", "template")

func ValidatePodCreate(context.Context, *corev1.Pod) field.ErrorList                    { return nil }
func ValidatePodUpdate(_ context.Context, a, b *corev1.Pod) field.ErrorList             { return nil }
func ValidatePodStatusUpdate(_ context.Context, a, b *corev1.Pod) field.ErrorList       { return nil }
func warnPod(_ context.Context, a, b *corev1.Pod) []string                              { return nil }
func ValidateConfigMap(context.Context, *corev1.ConfigMap) field.ErrorList              { return nil }
func ValidateConfigMapUpdate(_ context.Context, a, b *corev1.ConfigMap) field.ErrorList { return nil }
func ValidateSecret(context.Context, *corev1.Secret) field.ErrorList                    { return nil }
func ValidateSecretUpdate(_ context.Context, a, b *corev1.Secret) field.ErrorList       { return nil }
func ValidateServiceAccount(context.Context, *corev1.ServiceAccount) field.ErrorList    { return nil }
func ValidateServiceAccountUpdate(_ context.Context, a, b *corev1.ServiceAccount) field.ErrorList {
	return nil
}
func ValidateEndpoints(context.Context, *corev1.Endpoints) field.ErrorList              { return nil }
func ValidateEndpointsUpdate(_ context.Context, a, b *corev1.Endpoints) field.ErrorList { return nil }
func ValidateEventCreate(context.Context, *corev1.Event) field.ErrorList                { return nil }
func ValidateEventUpdate(_ context.Context, a, b *corev1.Event) field.ErrorList         { return nil }
func ValidateNamespace(context.Context, *corev1.Namespace) field.ErrorList              { return nil }
func ValidateNamespaceUpdate(_ context.Context, a, b *corev1.Namespace) field.ErrorList { return nil }
func ValidateNamespaceStatusUpdate(_ context.Context, a, b *corev1.Namespace) field.ErrorList {
	return nil
}
func ValidateReplicationController(context.Context, *corev1.ReplicationController) field.ErrorList {
	return nil
}
func ValidateReplicationControllerUpdate(_ context.Context, a, b *corev1.ReplicationController) field.ErrorList {
	return nil
}
func ValidateReplicationControllerStatusUpdate(_ context.Context, a, b *corev1.ReplicationController) field.ErrorList {
	return nil
}
func ValidateServiceCreate(context.Context, *corev1.Service) field.ErrorList              { return nil }
func ValidateServiceUpdate(_ context.Context, a, b *corev1.Service) field.ErrorList       { return nil }
func ValidateServiceStatusUpdate(_ context.Context, a, b *corev1.Service) field.ErrorList { return nil }
func warnService(_ context.Context, a, b *corev1.Service) []string                        { return nil }
func ValidateNode(context.Context, *corev1.Node) field.ErrorList                          { return nil }
func ValidateNodeUpdate(_ context.Context, a, b *corev1.Node) field.ErrorList             { return nil }
func ValidateNodeStatusUpdate(_ context.Context, a, b *corev1.Node) field.ErrorList       { return nil }
func warnNode(_ context.Context, a, b *corev1.Node) []string                              { return nil }

// WarningsForPodTemplate returns what is suspicious about a template.
func WarningsForPodTemplate(template, old *corev1.PodTemplateSpec, path *field.Path) []string {
	return nil
}

// ValidatePodTemplateSpec returns what is wrong with the template of pods.
func ValidatePodTemplateSpec(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return nil
}

// ValidatePodSpec returns what is wrong with a pod's spec.
func ValidatePodSpec(spec *corev1.PodSpec, meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	return nil
}

package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// addDefaults registers the defaulting of every kind and of its list.
func addDefaults(s *runtime.Scheme) {
	defaulting.Kind(s, SetDefaultsPod, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	defaulting.Kind(s, SetDefaultsPodTemplate, func(l *corev1.PodTemplateList) []corev1.PodTemplate { return l.Items })
	defaulting.Kind(s, SetDefaultsReplicationController, func(l *corev1.ReplicationControllerList) []corev1.ReplicationController { return l.Items })
	defaulting.Kind(s, SetDefaultsService, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
	defaulting.Kind(s, SetDefaultsNamespace, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
	defaulting.Kind(s, SetDefaultsNode, func(l *corev1.NodeList) []corev1.Node { return l.Items })
	defaulting.Kind(s, SetDefaultsSecret, func(l *corev1.SecretList) []corev1.Secret { return l.Items })
	defaulting.Kind(s, SetDefaultsConfigMap, func(l *corev1.ConfigMapList) []corev1.ConfigMap { return l.Items })
	defaulting.Kind(s, SetDefaultsEndpoints, func(l *corev1.EndpointsList) []corev1.Endpoints { return l.Items })
	defaulting.Kind(s, SetDefaultsPersistentVolumeClaim, func(l *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
}

package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// addDefaults registers the defaulting of every kind and of its list.
func addDefaults(s *runtime.Scheme) {
	defaultKind(s, SetDefaultsPod, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	defaultKind(s, SetDefaultsPodTemplate, func(l *corev1.PodTemplateList) []corev1.PodTemplate { return l.Items })
	defaultKind(s, SetDefaultsReplicationController, func(l *corev1.ReplicationControllerList) []corev1.ReplicationController { return l.Items })
	defaultKind(s, SetDefaultsService, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
	defaultKind(s, SetDefaultsNamespace, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
	defaultKind(s, SetDefaultsNode, func(l *corev1.NodeList) []corev1.Node { return l.Items })
	defaultKind(s, SetDefaultsSecret, func(l *corev1.SecretList) []corev1.Secret { return l.Items })
	defaultKind(s, SetDefaultsConfigMap, func(l *corev1.ConfigMapList) []corev1.ConfigMap { return l.Items })
	defaultKind(s, SetDefaultsEndpoints, func(l *corev1.EndpointsList) []corev1.Endpoints { return l.Items })
	defaultKind(s, SetDefaultsPersistentVolumeClaim, func(l *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
	s.AddTypeDefaultingFunc(&corev1.PodExecOptions{}, func(obj any) { SetDefaultsPodExecOptions(obj.(*corev1.PodExecOptions)) })
	s.AddTypeDefaultingFunc(&corev1.PodAttachOptions{}, func(obj any) { SetDefaultsPodAttachOptions(obj.(*corev1.PodAttachOptions)) })
}

// defaultKind registers set for T and, item by item, for its list L.
func defaultKind[T, L any, PT interface {
	*T
	runtime.Object
}, PL interface {
	*L
	runtime.Object
}](s *runtime.Scheme, set func(*T), items func(*L) []T) {
	s.AddTypeDefaultingFunc(PT(new(T)), func(obj any) { set((*T)(obj.(PT))) })
	s.AddTypeDefaultingFunc(PL(new(L)), func(obj any) {
		list := items((*L)(obj.(PL)))
		for i := range list {
			set(&list[i])
		}
	})
}

// orDefault sets *field to value if nothing is set.
func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// orPointer lets *field point to value if it points nowhere.
func orPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

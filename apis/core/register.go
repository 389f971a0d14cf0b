package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the core group: the published types, the same types as
// the hub, their defaults, and the decoding of query parameters into the option
// types of the pod, node and service subresources.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, corev1.SchemeGroupVersion, corev1.AddToScheme); err != nil {
		return err
	}
	addDefaults(s)
	if err := addOptionConversions(s); err != nil {
		return fmt.Errorf("registering the core option conversions: %w", err)
	}
	return nil
}

// Resources returns the rows of the core group.
func Resources() []resource.Resource {
	return []resource.Resource{
		configMapResource(),
		endpointsResource(),
		eventResource(),
		namespaceResource(),
		nodeResource(),
		podResource(),
		replicationControllerResource(),
		secretResource(),
		serviceResource(),
		serviceAccountResource(),
	}
}

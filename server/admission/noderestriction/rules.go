package noderestriction

import (
	"context"
	"fmt"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	kubeletapis "k8s.io/kubelet/pkg/apis"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/server/admission/podrefs"
)

// checkMirror says what is wrong with a pod that a node creates. The uid of its
// owner is left to the caller.
func checkMirror(pod *corev1.Pod, node string) error {
	if _, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]; !ok {
		return fmt.Errorf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if pod.Spec.NodeName != node {
		return fmt.Errorf("node %q can only create pods with spec.nodeName set to itself", node)
	}
	if err := checkMirrorOwner(pod.OwnerReferences, node); err != nil {
		return err
	}
	// A mirror that could refer to API objects would let the node read them.
	if pod.Spec.ServiceAccountName != "" {
		return fmt.Errorf("node %q can not create pods that reference a service account", node)
	}
	for range podrefs.Secrets(&pod.Spec) {
		return fmt.Errorf("node %q can not create pods that reference secrets", node)
	}
	for range podrefs.ConfigMaps(&pod.Spec) {
		return fmt.Errorf("node %q can not create pods that reference configmaps", node)
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			return fmt.Errorf("node %q can not create pods that reference persistentvolumeclaims", node)
		}
	}
	if podrefs.UsesTokens(&pod.Spec) {
		return fmt.Errorf("node %q can not create pods that reference service account tokens", node)
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return fmt.Errorf("node %q can not create pods that reference resourceclaims", node)
	}
	return nil
}

func checkMirrorOwner(owners []metav1.OwnerReference, node string) error {
	if len(owners) == 0 {
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", node)
	}
	if len(owners) > 1 {
		return fmt.Errorf("node %q can only create pods with a single owner reference set to itself", node)
	}
	owner := owners[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node:
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", node)
	case !ptr.Deref(owner.Controller, false):
		return fmt.Errorf("node %q can only create pods with a controller owner reference set to itself", node)
	case ptr.Deref(owner.BlockOwnerDeletion, false):
		return fmt.Errorf("node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	return nil
}

// checkPodStatus says what is wrong with a status written by a node.
func checkPodStatus(pod, old *corev1.Pod, node string) error {
	if old.Spec.NodeName != node {
		return fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", node)
	}
	// Labels decide what else the pod belongs to.
	if !equality.Semantic.DeepEqual(pod.Labels, old.Labels) {
		return fmt.Errorf("node %q cannot update labels through pod status", node)
	}
	if !equality.Semantic.DeepEqual(pod.Status.ResourceClaimStatuses, old.Status.ResourceClaimStatuses) {
		return fmt.Errorf("node %q cannot update resource claim statuses", node)
	}
	return nil
}

// usesAudience reports whether a volume of the pod asks for tokens of the
// audience.
func usesAudience(spec *corev1.PodSpec, audience string) bool {
	for _, v := range spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil && source.ServiceAccountToken.Audience == audience {
				return true
			}
		}
	}
	return false
}

func checkNode(_ context.Context, a admission.Attributes, self string) error {
	name := a.GetName()
	switch a.GetOperation() {
	case admission.Create:
		node, ok := a.GetObject().(*corev1.Node)
		if !ok {
			return unexpectedType(a)
		}
		if err := checkNewNode(node, self); err != nil {
			return err
		}
		// On create the name may be in the object only.
		if name == "" {
			name = node.Name
		}
	case admission.Update:
		node, ok := a.GetObject().(*corev1.Node)
		if !ok {
			return unexpectedType(a)
		}
		old, ok := a.GetOldObject().(*corev1.Node)
		if !ok {
			return unexpectedType(a)
		}
		if name == self {
			return checkChangedNode(node, old, self)
		}
	}
	if name != self {
		return fmt.Errorf("node %q is not allowed to modify node %q", self, name)
	}
	return nil
}

func checkNewNode(node *corev1.Node, self string) error {
	if node.Spec.ConfigSource != nil {
		return fmt.Errorf("node %q is not allowed to create pods with a non-nil configSource", self)
	}
	if len(node.OwnerReferences) > 0 {
		return fmt.Errorf("node %q is not allowed to set owner references", self)
	}
	if forbidden := forbiddenLabels(changedLabels(node.Labels, nil)); len(forbidden) > 0 {
		return fmt.Errorf("node %q is not allowed to set the following labels: %s", self, strings.Join(forbidden, ", "))
	}
	return nil
}

func checkChangedNode(node, old *corev1.Node, self string) error {
	if node.Spec.ConfigSource != nil && !equality.Semantic.DeepEqual(node.Spec.ConfigSource, old.Spec.ConfigSource) {
		return fmt.Errorf("node %q is not allowed to update configSource to a new non-nil configSource", self)
	}
	// Tainting and labelling itself would let a node choose what runs on it.
	if !equality.Semantic.DeepEqual(node.Spec.Taints, old.Spec.Taints) {
		return fmt.Errorf("node %q is not allowed to modify taints", self)
	}
	if forbidden := forbiddenLabels(changedLabels(node.Labels, old.Labels)); len(forbidden) > 0 {
		return fmt.Errorf("is not allowed to modify labels: %s", strings.Join(forbidden, ", "))
	}
	// An owner reference to something that is gone would delete the node.
	if !equality.Semantic.DeepEqual(node.OwnerReferences, old.OwnerReferences) {
		return fmt.Errorf("node %q is not allowed to modify ownerReferences", self)
	}
	return nil
}

// changedLabels returns the keys that differ between two label sets, sorted.
func changedLabels(a, b map[string]string) []string {
	var keys []string
	for key, value := range a {
		if other, ok := b[key]; !ok || other != value {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// forbiddenLabels returns those keys that a node may not change: those reserved
// for isolation, and those of Kubernetes that are not node labels by design.
func forbiddenLabels(keys []string) []string {
	var forbidden []string
	for _, key := range keys {
		namespace, _, found := strings.Cut(key, "/")
		if !found {
			continue
		}
		if within(namespace, corev1.LabelNamespaceNodeRestriction) {
			forbidden = append(forbidden, key)
			continue
		}
		reserved := within(namespace, "kubernetes.io") || within(namespace, "k8s.io")
		if reserved && !kubeletapis.IsKubeletLabel(key) {
			forbidden = append(forbidden, key)
		}
	}
	return forbidden
}

func within(namespace, domain string) bool {
	return namespace == domain || strings.HasSuffix(namespace, "."+domain)
}

func checkLease(_ context.Context, a admission.Attributes, node string) error {
	if a.GetNamespace() != corev1.NamespaceNodeLease {
		return fmt.Errorf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	name := a.GetName()
	if a.GetOperation() == admission.Create {
		lease, ok := a.GetObject().(*coordinationv1.Lease)
		if !ok {
			return unexpectedType(a)
		}
		// On create the name may be in the object only.
		name = lease.Name
	}
	if name != node {
		return fmt.Errorf("can only access node lease with the same name as the requesting node")
	}
	return nil
}

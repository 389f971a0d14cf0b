package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// SetDefaultsNamespace puts the namespace's name into its labels, where selectors
// can find it. A namespace whose name is yet to be generated has to wait.
func SetDefaultsNamespace(ns *corev1.Namespace) {
	defaulting.Value(&ns.Status.Phase, corev1.NamespaceActive)
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

// SetDefaultsNode makes the two fields for pod ranges agree, and what can be
// allocated default to all there is.
func SetDefaultsNode(n *corev1.Node) {
	switch {
	case n.Spec.PodCIDR == "" && len(n.Spec.PodCIDRs) > 0:
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	case n.Spec.PodCIDR != "" && len(n.Spec.PodCIDRs) == 0:
		n.Spec.PodCIDRs = []string{n.Spec.PodCIDR}
	}
	roundUp(n.Status.Capacity)
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	roundUp(n.Status.Allocatable)
}

// SetDefaultsSecret makes a secret without a type Opaque and moves its plain
// texts into its data.
func SetDefaultsSecret(s *corev1.Secret) {
	defaulting.Value(&s.Type, corev1.SecretTypeOpaque)
	mergeStringData(s)
}

// SetDefaultsConfigMap gives a config map its data, be it empty.
func SetDefaultsConfigMap(c *corev1.ConfigMap) {
	if c.Data == nil && c.BinaryData == nil {
		c.Data = map[string]string{}
	}
}

// SetDefaultsEndpoints makes ports TCP.
func SetDefaultsEndpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			defaulting.Value(&e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
		}
	}
}

// SetDefaultsReplicationController asks for one replica, and for a controller
// without selector or labels takes those of its pods.
func SetDefaultsReplicationController(rc *corev1.ReplicationController) {
	defaulting.Pointer(&rc.Spec.Replicas, 1)
	if rc.Spec.Template == nil {
		return
	}
	SetDefaultsPodTemplateSpec(rc.Spec.Template)
	if labels := rc.Spec.Template.Labels; len(labels) > 0 {
		if len(rc.Spec.Selector) == 0 {
			rc.Spec.Selector = copyOf(labels)
		}
		if len(rc.Labels) == 0 {
			rc.Labels = copyOf(labels)
		}
	}
}

// copyOf keeps the defaulted maps apart, so that a later change of one does not
// reach the others.
func copyOf(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for key, value := range m {
		out[key] = value
	}
	return out
}

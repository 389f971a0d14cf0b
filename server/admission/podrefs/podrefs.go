// Package podrefs says which secrets and config maps a pod uses, wherever in its
// spec it names them.
package podrefs

import (
	"iter"

	corev1 "k8s.io/api/core/v1"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
)

// Secrets yields the name of each secret that the pod refers to, possibly more
// than once.
func Secrets(spec *corev1.PodSpec) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, ref := range spec.ImagePullSecrets {
			if !yield(ref.Name) {
				return
			}
		}
		for _, c := range podhelper.Containers(spec) {
			for _, source := range c.EnvFrom {
				if source.SecretRef != nil && !yield(source.SecretRef.Name) {
					return
				}
			}
			for _, env := range c.Env {
				if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil && !yield(env.ValueFrom.SecretKeyRef.Name) {
					return
				}
			}
		}
		for i := range spec.Volumes {
			for _, name := range volumeSecrets(&spec.Volumes[i].VolumeSource) {
				if !yield(name) {
					return
				}
			}
		}
	}
}

func volumeSecrets(v *corev1.VolumeSource) []string {
	var names []string
	local := func(ref *corev1.LocalObjectReference) {
		if ref != nil {
			names = append(names, ref.Name)
		}
	}
	switch {
	case v.Secret != nil:
		names = append(names, v.Secret.SecretName)
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				names = append(names, source.Secret.Name)
			}
		}
	case v.AzureFile != nil:
		names = append(names, v.AzureFile.SecretName)
	case v.CephFS != nil:
		local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		local(v.FlexVolume.SecretRef)
	case v.RBD != nil:
		local(v.RBD.SecretRef)
	case v.ScaleIO != nil:
		local(v.ScaleIO.SecretRef)
	case v.ISCSI != nil:
		local(v.ISCSI.SecretRef)
	case v.StorageOS != nil:
		local(v.StorageOS.SecretRef)
	case v.CSI != nil:
		local(v.CSI.NodePublishSecretRef)
	}
	return names
}

// ConfigMaps yields the name of each config map that the pod refers to, possibly
// more than once.
func ConfigMaps(spec *corev1.PodSpec) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, c := range podhelper.Containers(spec) {
			for _, source := range c.EnvFrom {
				if source.ConfigMapRef != nil && !yield(source.ConfigMapRef.Name) {
					return
				}
			}
			for _, env := range c.Env {
				if env.ValueFrom != nil && env.ValueFrom.ConfigMapKeyRef != nil && !yield(env.ValueFrom.ConfigMapKeyRef.Name) {
					return
				}
			}
		}
		for _, v := range spec.Volumes {
			if v.ConfigMap != nil && !yield(v.ConfigMap.Name) {
				return
			}
			if v.Projected == nil {
				continue
			}
			for _, source := range v.Projected.Sources {
				if source.ConfigMap != nil && !yield(source.ConfigMap.Name) {
					return
				}
			}
		}
	}
}

// UsesTokens reports whether a projected volume of the pod asks for service
// account tokens.
func UsesTokens(spec *corev1.PodSpec) bool {
	for _, v := range spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				return true
			}
		}
	}
	return false
}

package objects

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
)

// Refs returns the config maps and secrets that a pod's containers, volumes and
// image pulls refer to, each once.
func Refs(p *corev1.Pod) []Ref {
	seen := map[Ref]bool{}
	var refs []Ref
	add := func(kind Kind, name string) {
		ref := Ref{kind, p.Namespace, name}
		if name != "" && !seen[ref] {
			seen[ref] = true
			refs = append(refs, ref)
		}
	}
	for _, c := range pod.Containers(&p.Spec) {
		containerRefs(c, add)
	}
	for i := range p.Spec.Volumes {
		volumeRefs(&p.Spec.Volumes[i], add)
	}
	for _, ref := range p.Spec.ImagePullSecrets {
		add(Secrets, ref.Name)
	}
	return refs
}

func containerRefs(c *corev1.Container, add func(Kind, string)) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			add(ConfigMaps, from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			add(Secrets, from.SecretRef.Name)
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if ref := v.ValueFrom.ConfigMapKeyRef; ref != nil {
			add(ConfigMaps, ref.Name)
		}
		if ref := v.ValueFrom.SecretKeyRef; ref != nil {
			add(Secrets, ref.Name)
		}
	}
}

func volumeRefs(v *corev1.Volume, add func(Kind, string)) {
	if v.ConfigMap != nil {
		add(ConfigMaps, v.ConfigMap.Name)
	}
	if v.Secret != nil {
		add(Secrets, v.Secret.SecretName)
	}
	if v.Projected == nil {
		return
	}
	for _, source := range v.Projected.Sources {
		if source.ConfigMap != nil {
			add(ConfigMaps, source.ConfigMap.Name)
		}
		if source.Secret != nil {
			add(Secrets, source.Secret.Name)
		}
	}
}

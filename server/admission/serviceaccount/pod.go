package serviceaccount

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

const (
	// volumePrefix starts the name of the injected volume.
	volumePrefix = "kube-api-access-"
	// mountPath is where client libraries look for their credentials.
	mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is an hour and an odd 7 seconds by which the issuer recognizes
	// tokens of injected volumes.
	tokenSeconds = 60*60 + 7
	rootCAName   = "kube-root-ca.crt"
	rootCAKey    = "ca.crt"
)

// wantsToken tells whether the volume shall be injected. The pod decides, then
// the account, then the default, which is yes.
func wantsToken(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	if pod.Spec.AutomountServiceAccountToken != nil {
		return *pod.Spec.AutomountServiceAccountToken
	}
	return ptr.Deref(account.AutomountServiceAccountToken, true)
}

// mountToken mounts the volume with the credentials in every container that has
// nothing at their place, and adds the volume if a container needs it.
func mountToken(pod *corev1.Pod, generateName func(base string) string) {
	name, exists := "", false
	for _, volume := range pod.Spec.Volumes {
		// A client may have sent the volume itself, say from another pod's dump.
		if strings.HasPrefix(volume.Name, volumePrefix) {
			name, exists = volume.Name, true
			break
		}
	}
	for name == "" {
		// The random name could be taken, though hardly.
		candidate := generateName(volumePrefix)
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == candidate }) {
			name = candidate
		}
	}
	mount := corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: mountPath}
	needed := mountInto(pod.Spec.InitContainers, mount)
	needed = mountInto(pod.Spec.Containers, mount) || needed
	if needed && !exists {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name:         name,
			VolumeSource: corev1.VolumeSource{Projected: credentials()},
		})
	}
}

func mountInto(containers []corev1.Container, mount corev1.VolumeMount) (needed bool) {
	for i := range containers {
		c := &containers[i]
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == mount.MountPath }) {
			continue
		}
		c.VolumeMounts = append(c.VolumeMounts, mount)
		needed = true
	}
	return needed
}

// credentials is the volume: a token, the CA to verify the API server with, and
// the pod's namespace.
func credentials() *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Path:              corev1.ServiceAccountTokenKey,
				ExpirationSeconds: ptr.To[int64](tokenSeconds),
			}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: rootCAName},
				Items:                []corev1.KeyToPath{{Key: rootCAKey, Path: rootCAKey}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{
				Items: []corev1.DownwardAPIVolumeFile{{
					Path:     "namespace",
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				}},
			}},
		},
	}
}

// checkSecrets returns an error if the pod uses a secret that the account does
// not list.
func checkSecrets(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	mountable := map[string]bool{}
	for _, ref := range account.Secrets {
		mountable[ref.Name] = true
	}
	for _, volume := range pod.Spec.Volumes {
		if s := volume.Secret; s != nil && !mountable[s.SecretName] {
			return fmt.Errorf("volume with secret.secretName=\"%s\" is not allowed because service account %s does not reference that secret", s.SecretName, account.Name)
		}
	}
	if err := checkContainers("init container", pod.Spec.InitContainers, mountable, account.Name); err != nil {
		return err
	}
	if err := checkContainers("container", pod.Spec.Containers, mountable, account.Name); err != nil {
		return err
	}
	var ephemeral []corev1.Container
	for _, c := range pod.Spec.EphemeralContainers {
		ephemeral = append(ephemeral, corev1.Container(c.EphemeralContainerCommon))
	}
	if err := checkContainers("ephemeral container", ephemeral, mountable, account.Name); err != nil {
		return err
	}
	pullable := map[string]bool{}
	for _, ref := range account.ImagePullSecrets {
		pullable[ref.Name] = true
	}
	for i, ref := range pod.Spec.ImagePullSecrets {
		if !pullable[ref.Name] {
			return fmt.Errorf("imagePullSecrets[%d].name=\"%s\" is not allowed because service account %s does not reference that imagePullSecret", i, ref.Name, account.Name)
		}
	}
	return nil
}

func checkContainers(what string, containers []corev1.Container, mountable map[string]bool, account string) error {
	for _, c := range containers {
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil && !mountable[env.ValueFrom.SecretKeyRef.Name] {
				return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=\"%s\" is not allowed because service account %s does not reference that secret", what, c.Name, env.Name, env.ValueFrom.SecretKeyRef.Name, account)
			}
		}
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil && !mountable[from.SecretRef.Name] {
				return fmt.Errorf("%s %s with envFrom referencing secret.secretName=\"%s\" is not allowed because service account %s does not reference that secret", what, c.Name, from.SecretRef.Name, account)
			}
		}
	}
	return nil
}

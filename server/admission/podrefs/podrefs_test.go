package podrefs

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	corev1 "k8s.io/api/core/v1"
)

func local(name string) *corev1.LocalObjectReference { return &corev1.LocalObjectReference{Name: name} }

func TestReferences(t *testing.T) {
	ref := func(name string) corev1.LocalObjectReference { return *local(name) }
	container := func(suffix string) corev1.Container {
		return corev1.Container{
			EnvFrom: []corev1.EnvFromSource{
				{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("from-s-" + suffix)}},
				{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("from-c-" + suffix)}},
			},
			Env: []corev1.EnvVar{
				{Name: "PLAIN", Value: "x"},
				{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref("env-s-" + suffix)}}},
				{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("env-c-" + suffix)}}},
				{ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{}}},
			},
		}
	}
	spec := &corev1.PodSpec{
		ImagePullSecrets:    []corev1.LocalObjectReference{ref("pull")},
		InitContainers:      []corev1.Container{container("init")},
		Containers:          []corev1.Container{container("main")},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(container("debug"))}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "vol-s"}}},
			{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref("vol-c")}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: ref("proj-s")}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ref("proj-c")}},
			}}}},
			{VolumeSource: corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "azure"}}},
			{VolumeSource: corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{SecretRef: local("ceph")}}},
			{VolumeSource: corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{SecretRef: local("cinder")}}},
			{VolumeSource: corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{SecretRef: local("flex")}}},
			{VolumeSource: corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{SecretRef: local("rbd")}}},
			{VolumeSource: corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: local("scaleio")}}},
			{VolumeSource: corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: local("iscsi")}}},
			{VolumeSource: corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: local("storageos")}}},
			{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: local("csi")}}},
			{VolumeSource: corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{}}},
		},
	}
	wantSecrets := []string{
		"azure", "ceph", "cinder", "csi", "env-s-debug", "env-s-init", "env-s-main", "flex",
		"from-s-debug", "from-s-init", "from-s-main", "iscsi", "proj-s", "pull", "rbd", "scaleio", "storageos", "vol-s",
	}
	if diff := cmp.Diff(wantSecrets, slices.Sorted(Secrets(spec))); diff != "" {
		t.Error(diff)
	}
	wantConfigMaps := []string{"env-c-debug", "env-c-init", "env-c-main", "from-c-debug", "from-c-init", "from-c-main", "proj-c", "vol-c"}
	if diff := cmp.Diff(wantConfigMaps, slices.Sorted(ConfigMaps(spec))); diff != "" {
		t.Error(diff)
	}
	// Whoever only asks whether there is one must not be served more.
	for n := range len(wantSecrets) {
		seen := 0
		for range Secrets(spec) {
			if seen++; seen > n {
				break
			}
		}
	}
}

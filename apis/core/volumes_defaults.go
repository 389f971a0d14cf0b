package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// defaultTokenSeconds is how long a projected service account token lives.
const defaultTokenSeconds = 60 * 60

// defaultCertificateSeconds is how long a projected pod certificate lives.
const defaultCertificateSeconds = 24 * 60 * 60

// setDefaultsVolume completes a volume; one without any source is an emptyDir.
func setDefaultsVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.HostPath != nil {
		defaulting.Pointer(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.Secret != nil {
		defaulting.Pointer(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		defaulting.Pointer(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		defaulting.Pointer(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		setDefaultsDownwardFiles(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		setDefaultsProjected(v.Projected)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		defaulting.Pointer(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	if v.Image != nil {
		defaulting.Value(&v.Image.PullPolicy, defaultPullPolicy(v.Image.Reference))
	}
	setDefaultsNetworkVolume(v)
}

func setDefaultsProjected(p *corev1.ProjectedVolumeSource) {
	defaulting.Pointer(&p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range p.Sources {
		if token := p.Sources[i].ServiceAccountToken; token != nil {
			defaulting.Pointer(&token.ExpirationSeconds, defaultTokenSeconds)
		}
		if certificate := p.Sources[i].PodCertificate; certificate != nil {
			defaulting.Pointer(&certificate.MaxExpirationSeconds, defaultCertificateSeconds)
		}
		if downward := p.Sources[i].DownwardAPI; downward != nil {
			setDefaultsDownwardFiles(downward.Items)
		}
	}
}

func setDefaultsDownwardFiles(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		if files[i].FieldRef != nil {
			defaulting.Value(&files[i].FieldRef.APIVersion, "v1")
		}
	}
}

// setDefaultsNetworkVolume completes volumes of storage systems.
func setDefaultsNetworkVolume(v *corev1.VolumeSource) {
	if v.ISCSI != nil {
		defaulting.Value(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		defaulting.Value(&v.RBD.RBDPool, "rbd")
		defaulting.Value(&v.RBD.RadosUser, "admin")
		defaulting.Value(&v.RBD.Keyring, "/etc/ceph/keyring")
	}
	if v.AzureDisk != nil {
		defaulting.Pointer(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		defaulting.Pointer(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
		defaulting.Pointer(&v.AzureDisk.FSType, "ext4")
		defaulting.Pointer(&v.AzureDisk.ReadOnly, false)
	}
	if v.ScaleIO != nil {
		defaulting.Value(&v.ScaleIO.StorageMode, "ThinProvisioned")
		defaulting.Value(&v.ScaleIO.FSType, "xfs")
	}
}

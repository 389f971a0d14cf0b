package core

import (
	corev1 "k8s.io/api/core/v1"
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
		orPointer(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.Secret != nil {
		orPointer(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		orPointer(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		orPointer(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		setDefaultsDownwardFiles(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		setDefaultsProjected(v.Projected)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		orPointer(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	if v.Image != nil {
		orDefault(&v.Image.PullPolicy, defaultPullPolicy(v.Image.Reference))
	}
	setDefaultsNetworkVolume(v)
}

func setDefaultsProjected(p *corev1.ProjectedVolumeSource) {
	orPointer(&p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range p.Sources {
		if token := p.Sources[i].ServiceAccountToken; token != nil {
			orPointer(&token.ExpirationSeconds, defaultTokenSeconds)
		}
		if certificate := p.Sources[i].PodCertificate; certificate != nil {
			orPointer(&certificate.MaxExpirationSeconds, defaultCertificateSeconds)
		}
		if downward := p.Sources[i].DownwardAPI; downward != nil {
			setDefaultsDownwardFiles(downward.Items)
		}
	}
}

func setDefaultsDownwardFiles(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		if files[i].FieldRef != nil {
			orDefault(&files[i].FieldRef.APIVersion, "v1")
		}
	}
}

// setDefaultsNetworkVolume completes volumes of storage systems.
func setDefaultsNetworkVolume(v *corev1.VolumeSource) {
	if v.ISCSI != nil {
		orDefault(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		orDefault(&v.RBD.RBDPool, "rbd")
		orDefault(&v.RBD.RadosUser, "admin")
		orDefault(&v.RBD.Keyring, "/etc/ceph/keyring")
	}
	if v.AzureDisk != nil {
		orPointer(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		orPointer(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
		orPointer(&v.AzureDisk.FSType, "ext4")
		orPointer(&v.AzureDisk.ReadOnly, false)
	}
	if v.ScaleIO != nil {
		orDefault(&v.ScaleIO.StorageMode, "ThinProvisioned")
		orDefault(&v.ScaleIO.FSType, "xfs")
	}
}

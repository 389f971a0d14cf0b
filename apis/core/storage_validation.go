package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// checkStorageSource checks volumes of storage systems: that what names the
// storage is there.
func checkStorageSource(v *corev1.Volume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	need := func(name, value string) { errs = append(errs, checkRequired(value, path.Child(name))...) }
	switch {
	case v.NFS != nil:
		need("server", v.NFS.Server)
		need("path", v.NFS.Path)
		if !strings.HasPrefix(v.NFS.Path, "/") {
			errs = append(errs, field.Invalid(path.Child("path"), v.NFS.Path, "must be an absolute path"))
		}
	case v.CSI != nil:
		need("driver", v.CSI.Driver)
		if ref := v.CSI.NodePublishSecretRef; ref != nil {
			need("nodePublishSecretRef.name", ref.Name)
		}
	case v.Ephemeral != nil:
		if v.Ephemeral.VolumeClaimTemplate == nil {
			return field.ErrorList{field.Required(path.Child("volumeClaimTemplate"), "")}
		}
		return ValidatePersistentVolumeClaimSpec(&v.Ephemeral.VolumeClaimTemplate.Spec, path.Child("volumeClaimTemplate", "spec"))
	default:
		return checkInTreeSource(v, path)
	}
	return errs
}

// checkInTreeSource checks volumes of the storage systems that Kubernetes once
// had drivers for.
func checkInTreeSource(v *corev1.Volume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	need := func(name, value string) { errs = append(errs, checkRequired(value, path.Child(name))...) }
	needList := func(name string, list []string) {
		if len(list) == 0 {
			errs = append(errs, field.Required(path.Child(name), ""))
		}
	}
	switch {
	case v.GCEPersistentDisk != nil:
		need("pdName", v.GCEPersistentDisk.PDName)
	case v.AWSElasticBlockStore != nil:
		need("volumeID", v.AWSElasticBlockStore.VolumeID)
	case v.GitRepo != nil:
		need("repository", v.GitRepo.Repository)
		errs = append(errs, checkRelativePath(v.GitRepo.Directory, path.Child("directory"))...)
	case v.ISCSI != nil:
		need("targetPortal", v.ISCSI.TargetPortal)
		need("iqn", v.ISCSI.IQN)
	case v.Glusterfs != nil:
		need("endpoints", v.Glusterfs.EndpointsName)
		need("path", v.Glusterfs.Path)
	case v.RBD != nil:
		needList("monitors", v.RBD.CephMonitors)
		need("image", v.RBD.RBDImage)
	case v.FlexVolume != nil:
		need("driver", v.FlexVolume.Driver)
	case v.Cinder != nil:
		need("volumeID", v.Cinder.VolumeID)
	case v.CephFS != nil:
		needList("monitors", v.CephFS.Monitors)
	case v.Flocker != nil && v.Flocker.DatasetName == "" && v.Flocker.DatasetUUID == "":
		errs = append(errs, field.Required(path, "one of datasetName and datasetUUID is required"))
	case v.FC != nil && len(v.FC.TargetWWNs) == 0 && len(v.FC.WWIDs) == 0:
		errs = append(errs, field.Required(path.Child("targetWWNs"), "must specify either targetWWNs or wwids"))
	case v.AzureFile != nil:
		need("secretName", v.AzureFile.SecretName)
		need("shareName", v.AzureFile.ShareName)
	case v.AzureDisk != nil:
		need("diskName", v.AzureDisk.DiskName)
		need("diskURI", v.AzureDisk.DataDiskURI)
	case v.VsphereVolume != nil:
		need("volumePath", v.VsphereVolume.VolumePath)
	case v.Quobyte != nil:
		need("registry", v.Quobyte.Registry)
		need("volume", v.Quobyte.Volume)
	case v.PhotonPersistentDisk != nil:
		need("pdID", v.PhotonPersistentDisk.PdID)
	case v.PortworxVolume != nil:
		need("volumeID", v.PortworxVolume.VolumeID)
	case v.ScaleIO != nil:
		need("gateway", v.ScaleIO.Gateway)
		need("system", v.ScaleIO.System)
		need("volumeName", v.ScaleIO.VolumeName)
	case v.StorageOS != nil:
		need("volumeName", v.StorageOS.VolumeName)
	}
	return errs
}

// ValidatePersistentVolumeClaimSpec returns what is wrong with a claim, also one
// that is a template in a pod or a workload.
func ValidatePersistentVolumeClaimSpec(spec *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.AccessModes) == 0 {
		errs = append(errs, field.Required(path.Child("accessModes"), "at least 1 access mode is required"))
	}
	exclusive := false
	for _, mode := range spec.AccessModes {
		errs = append(errs, rules.Enum(mode, path.Child("accessModes"), corev1.ReadOnlyMany, corev1.ReadWriteMany,
			corev1.ReadWriteOnce, corev1.ReadWriteOncePod)...)
		exclusive = exclusive || mode == corev1.ReadWriteOncePod
	}
	if exclusive && len(spec.AccessModes) > 1 {
		errs = append(errs, field.Forbidden(path.Child("accessModes"), "may not use ReadWriteOncePod with other access modes"))
	}
	size, ok := spec.Resources.Requests[corev1.ResourceStorage]
	at := path.Child("resources").Key(string(corev1.ResourceStorage))
	switch {
	case !ok:
		errs = append(errs, field.Required(at, ""))
	case size.Sign() <= 0:
		errs = append(errs, field.Invalid(at, size.String(), notPositive))
	}
	if class := spec.StorageClassName; class != nil && *class != "" {
		errs = append(errs, rules.DNSSubdomain(*class, path.Child("storageClassName"))...)
	}
	return append(errs, checkOptionalEnum(spec.VolumeMode, path.Child("volumeMode"),
		corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
}

package core

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

func checkVolumes(volumes []corev1.Volume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range volumes {
		at := path.Index(i)
		errs = append(errs, checkVolumeSource(&volumes[i], at)...)
		name := volumes[i].Name
		if name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
			continue
		}
		errs = append(errs, rules.DNSLabel(name, at.Child("name"))...)
		errs = append(errs, checkUniqueName(name, names, at)...)
	}
	return errs
}

// checkVolumeSource checks that the volume has exactly one source, and that one.
// The sources are the fields of VolumeSource, so that a new one cannot be missed.
func checkVolumeSource(v *corev1.Volume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	value := reflect.ValueOf(v.VolumeSource)
	found := false
	for i := range value.NumField() {
		if value.Field(i).IsNil() {
			continue
		}
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if found {
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 volume type"))
			continue
		}
		found = true
		errs = append(errs, checkSource(v, path.Child(name))...)
	}
	if !found {
		errs = append(errs, field.Required(path, "must specify a volume type"))
	}
	return errs
}

// checkSource checks the volume's only source; path is the source's.
func checkSource(v *corev1.Volume, path *field.Path) field.ErrorList {
	switch {
	case v.EmptyDir != nil:
		if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Sign() < 0 {
			return field.ErrorList{field.Forbidden(path.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")}
		}
	case v.HostPath != nil:
		return checkHostPath(v.HostPath, path)
	case v.Secret != nil:
		errs := checkRequired(v.Secret.SecretName, path.Child("secretName"))
		return append(errs, checkKeyFiles(v.Secret.Items, v.Secret.DefaultMode, path)...)
	case v.ConfigMap != nil:
		errs := checkRequired(v.ConfigMap.Name, path.Child("name"))
		return append(errs, checkKeyFiles(v.ConfigMap.Items, v.ConfigMap.DefaultMode, path)...)
	case v.DownwardAPI != nil:
		errs := checkFileMode(v.DownwardAPI.DefaultMode, path.Child("defaultMode"))
		return append(errs, checkDownwardFiles(v.DownwardAPI.Items, path.Child("items"))...)
	case v.Projected != nil:
		return checkProjected(v.Projected, path)
	case v.PersistentVolumeClaim != nil:
		return checkRequired(v.PersistentVolumeClaim.ClaimName, path.Child("claimName"))
	case v.Image != nil:
		errs := checkRequired(v.Image.Reference, path.Child("reference"))
		return append(errs, rules.Enum(v.Image.PullPolicy, path.Child("pullPolicy"), corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	default:
		return checkStorageSource(v, path)
	}
	return nil
}

func checkHostPath(h *corev1.HostPathVolumeSource, path *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(path.Child("path"), "")}
	}
	errs := checkNoBacksteps(h.Path, path.Child("path"))
	return append(errs, checkOptionalEnum(h.Type, path.Child("type"), corev1.HostPathUnset,
		corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate,
		corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
}

// checkKeyFiles checks the files that keys of a secret or config map become.
func checkKeyFiles(items []corev1.KeyToPath, mode *int32, path *field.Path) field.ErrorList {
	errs := checkFileMode(mode, path.Child("defaultMode"))
	for i, item := range items {
		at := path.Child("items").Index(i)
		errs = append(errs, checkRequired(item.Key, at.Child("key"))...)
		errs = append(errs, checkRequired(item.Path, at.Child("path"))...)
		errs = append(errs, checkVolumeFilePath(item.Path, at.Child("path"))...)
		errs = append(errs, checkFileMode(item.Mode, at.Child("mode"))...)
	}
	return errs
}

func checkDownwardFiles(files []corev1.DownwardAPIVolumeFile, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range files {
		file, at := &files[i], path.Index(i)
		errs = append(errs, checkRequired(file.Path, at.Child("path"))...)
		errs = append(errs, checkVolumeFilePath(file.Path, at.Child("path"))...)
		switch {
		case file.FieldRef != nil:
			errs = append(errs, checkFieldRef(file.FieldRef, fileFields, at.Child("fieldRef"))...)
			if file.ResourceFieldRef != nil {
				errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
			}
		case file.ResourceFieldRef != nil:
			errs = append(errs, checkResourceFieldRef(file.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
		default:
			errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, checkFileMode(file.Mode, at.Child("mode"))...)
	}
	return errs
}

// checkProjected checks several sources in one directory, where no two may write
// the same file.
func checkProjected(p *corev1.ProjectedVolumeSource, path *field.Path) field.ErrorList {
	errs := checkFileMode(p.DefaultMode, path.Child("defaultMode"))
	used := sets.New[string]()
	claim := func(file string, at *field.Path) {
		if file == "" {
			return
		}
		if used.Has(file) {
			errs = append(errs, field.Invalid(at, file, "conflicting duplicate paths"))
		}
		used.Insert(file)
	}
	claimItems := func(items []corev1.KeyToPath, at *field.Path) {
		for _, item := range items {
			claim(item.Path, at)
		}
	}
	for i := range p.Sources {
		source, at := &p.Sources[i], path.Child("sources").Index(i)
		count := 0
		one := func(set bool, name string, check func(path *field.Path)) {
			if !set {
				return
			}
			if count++; count > 1 {
				errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 volume type"))
				return
			}
			check(at.Child(name))
		}
		one(source.Secret != nil, "secret", func(at *field.Path) {
			errs = append(errs, checkRequired(source.Secret.Name, at.Child("name"))...)
			errs = append(errs, checkKeyFiles(source.Secret.Items, nil, at)...)
			claimItems(source.Secret.Items, at)
		})
		one(source.ConfigMap != nil, "configMap", func(at *field.Path) {
			errs = append(errs, checkRequired(source.ConfigMap.Name, at.Child("name"))...)
			errs = append(errs, checkKeyFiles(source.ConfigMap.Items, nil, at)...)
			claimItems(source.ConfigMap.Items, at)
		})
		one(source.DownwardAPI != nil, "downwardAPI", func(at *field.Path) {
			errs = append(errs, checkDownwardFiles(source.DownwardAPI.Items, at.Child("items"))...)
			for _, file := range source.DownwardAPI.Items {
				claim(file.Path, at)
			}
		})
		one(source.ServiceAccountToken != nil, "serviceAccountToken", func(at *field.Path) {
			errs = append(errs, checkTokenSource(source.ServiceAccountToken, at)...)
			claim(source.ServiceAccountToken.Path, at)
		})
		one(source.ClusterTrustBundle != nil, "clusterTrustBundle", func(at *field.Path) {
			errs = append(errs, checkTrustBundleSource(source.ClusterTrustBundle, at)...)
			claim(source.ClusterTrustBundle.Path, at)
		})
		one(source.PodCertificate != nil, "podCertificate", func(at *field.Path) {
			errs = append(errs, checkCertificateSource(source.PodCertificate, at)...)
			for _, file := range []string{source.PodCertificate.CredentialBundlePath, source.PodCertificate.KeyPath, source.PodCertificate.CertificateChainPath} {
				claim(file, at)
			}
		})
	}
	return errs
}

func checkTokenSource(token *corev1.ServiceAccountTokenProjection, path *field.Path) field.ErrorList {
	const shortest, longest = 10 * 60, 1 << 32
	var errs field.ErrorList
	if s := token.ExpirationSeconds; s != nil && *s < shortest {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *s, "may not specify a duration less than 10 minutes"))
	} else if s != nil && *s > longest {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *s, "may not specify a duration larger than 2^32 seconds"))
	}
	if token.Path == "" {
		return append(errs, field.Required(path.Child("path"), ""))
	}
	return append(errs, checkVolumeFilePath(token.Path, path.Child("path"))...)
}

func checkTrustBundleSource(bundle *corev1.ClusterTrustBundleProjection, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case bundle.Name != nil && bundle.SignerName != nil:
		errs = append(errs, field.Invalid(path, *bundle.Name, "only one of name and signerName may be used"))
	case bundle.Name == nil && bundle.SignerName == nil:
		errs = append(errs, field.Required(path, "either name or signerName must be specified"))
	case bundle.Name != nil:
		errs = append(errs, checkRequired(*bundle.Name, path.Child("name"))...)
		if bundle.LabelSelector != nil {
			errs = append(errs, field.Invalid(path.Child("labelSelector"), bundle.LabelSelector, "labelSelector must be unset if name is specified"))
		}
	default:
		errs = append(errs, checkRequired(*bundle.SignerName, path.Child("signerName"))...)
	}
	if bundle.Path == "" {
		return append(errs, field.Required(path.Child("path"), ""))
	}
	return append(errs, checkVolumeFilePath(bundle.Path, path.Child("path"))...)
}

func checkCertificateSource(c *corev1.PodCertificateProjection, path *field.Path) field.ErrorList {
	const shortest, longest = 60 * 60, 91 * 24 * 60 * 60
	errs := checkRequired(c.SignerName, path.Child("signerName"))
	errs = append(errs, rules.Enum(c.KeyType, path.Child("keyType"), "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")...)
	if s := c.MaxExpirationSeconds; s != nil && *s < shortest {
		errs = append(errs, field.Invalid(path.Child("maxExpirationSeconds"), *s, "if provided, maxExpirationSeconds must be >= 3600"))
	} else if s != nil && *s > longest {
		errs = append(errs, field.Invalid(path.Child("maxExpirationSeconds"), *s, "if provided, maxExpirationSeconds must be <= 7862400"))
	}
	if c.CredentialBundlePath == "" && c.KeyPath == "" && c.CertificateChainPath == "" {
		errs = append(errs, field.Required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))
	}
	for name, file := range map[string]string{
		"credentialBundlePath": c.CredentialBundlePath, "keyPath": c.KeyPath, "certificateChainPath": c.CertificateChainPath,
	} {
		errs = append(errs, checkVolumeFilePath(file, path.Child(name))...)
	}
	return errs
}

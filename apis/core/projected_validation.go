package core

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// checkProjected checks several sources in one directory, where no two may write
// the same file.
func checkProjected(p *corev1.ProjectedVolumeSource, path *field.Path) field.ErrorList {
	errs := checkFileMode(p.DefaultMode, path.Child("defaultMode"))
	used := sets.New[string]()
	for i := range p.Sources {
		files, at, wrong := checkProjection(&p.Sources[i], path.Child("sources").Index(i))
		errs = append(errs, wrong...)
		for _, file := range files {
			if file == "" {
				continue // refused, or not wanted
			}
			if used.Has(file) {
				errs = append(errs, field.Invalid(at, file, "conflicting duplicate paths"))
			}
			used.Insert(file)
		}
	}
	return errs
}

// checkProjection checks that there is one source at most, and that one. It
// returns the files that the source is known to write, and the source's path.
func checkProjection(p *corev1.VolumeProjection, path *field.Path) (files []string, at *field.Path, errs field.ErrorList) {
	value := reflect.ValueOf(*p)
	for i := range value.NumField() {
		if value.Field(i).IsNil() {
			continue
		}
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if at != nil {
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 volume type"))
			continue
		}
		at = path.Child(name)
		var wrong field.ErrorList
		files, wrong = checkProjectionSource(p, at)
		errs = append(errs, wrong...)
	}
	return files, at, errs
}

// checkProjectionSource checks the first source of p.
func checkProjectionSource(p *corev1.VolumeProjection, at *field.Path) (files []string, errs field.ErrorList) {
	keyFiles := func(name string, items []corev1.KeyToPath) {
		errs = append(checkRequired(name, at.Child("name")), checkKeyFiles(items, nil, at)...)
		for _, item := range items {
			files = append(files, item.Path)
		}
	}
	switch {
	case p.Secret != nil:
		keyFiles(p.Secret.Name, p.Secret.Items)
	case p.DownwardAPI != nil:
		errs = checkDownwardFiles(p.DownwardAPI.Items, at.Child("items"))
		for _, file := range p.DownwardAPI.Items {
			files = append(files, file.Path)
		}
	case p.ConfigMap != nil:
		keyFiles(p.ConfigMap.Name, p.ConfigMap.Items)
	case p.ServiceAccountToken != nil:
		return []string{p.ServiceAccountToken.Path}, checkTokenSource(p.ServiceAccountToken, at)
	case p.ClusterTrustBundle != nil:
		return []string{p.ClusterTrustBundle.Path}, checkTrustBundleSource(p.ClusterTrustBundle, at)
	case p.PodCertificate != nil:
		c := p.PodCertificate
		return []string{c.CredentialBundlePath, c.KeyPath, c.CertificateChainPath}, checkCertificateSource(c, at)
	}
	return files, errs
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
	errs = append(errs, checkVolumeFilePath(c.CredentialBundlePath, path.Child("credentialBundlePath"))...)
	errs = append(errs, checkVolumeFilePath(c.KeyPath, path.Child("keyPath"))...)
	return append(errs, checkVolumeFilePath(c.CertificateChainPath, path.Child("certificateChainPath"))...)
}

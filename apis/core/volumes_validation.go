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

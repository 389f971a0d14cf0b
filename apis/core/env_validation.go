package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

var (
	// envFields are the fields of a pod that an environment variable can take its
	// value from, beside single labels and annotations.
	envFields = sets.New("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
		"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
	// fileFields are those that a file of a downward API volume can show.
	fileFields = sets.New("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid")
	// podFieldPaths are all that a field reference may name at all.
	podFieldPaths = envFields.Union(fileFields).Insert("spec.restartPolicy", "spec.schedulerName", "status.phase")

	resourceFields = sets.New("limits.cpu", "limits.memory", "limits.ephemeral-storage",
		"requests.cpu", "requests.memory", "requests.ephemeral-storage")
	cpuDivisors  = sets.New("1m", "1")
	byteDivisors = sets.New("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
)

func (r containerRules) checkEnv(vars []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range vars {
		at := path.Index(i)
		if vars[i].Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, rules.Invalid(at.Child("name"), vars[i].Name, validation.IsRelaxedEnvVarName(vars[i].Name)...)...)
		}
		if vars[i].ValueFrom != nil {
			errs = append(errs, r.checkValueFrom(&vars[i], at.Child("valueFrom"))...)
		}
	}
	return errs
}

func (r containerRules) checkValueFrom(v *corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	sources, from := 0, v.ValueFrom
	if from.FieldRef != nil {
		sources++
		errs = append(errs, checkFieldRef(from.FieldRef, envFields, path.Child("fieldRef"))...)
	}
	if from.ResourceFieldRef != nil {
		sources++
		errs = append(errs, checkResourceFieldRef(from.ResourceFieldRef, false, path.Child("resourceFieldRef"))...)
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		sources++
		errs = append(errs, checkKeyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := from.SecretKeyRef; ref != nil {
		sources++
		errs = append(errs, checkKeyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	if ref := from.FileKeyRef; ref != nil {
		sources++
		errs = append(errs, r.checkFileKeyRef(ref, path.Child("fileKeyRef"))...)
	}
	switch {
	case sources == 0:
		errs = append(errs, field.Invalid(path, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

func checkKeyRef(name, key string, path *field.Path) field.ErrorList {
	errs := checkRequired(name, path.Child("name"))
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, rules.Invalid(path.Child("key"), key, validation.IsConfigMapKey(key)...)...)
}

// checkFileKeyRef checks a variable taken from a file in an emptyDir (KEP-3721).
func (r containerRules) checkFileKeyRef(ref *corev1.FileKeySelector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref.Key == "" {
		errs = append(errs, field.Required(path.Child("key"), ""))
	} else {
		errs = append(errs, rules.Invalid(path.Child("key"), ref.Key, validation.IsRelaxedEnvVarName(ref.Key)...)...)
	}
	switch volume := r.volumes[ref.VolumeName]; {
	case ref.VolumeName == "":
		errs = append(errs, field.Required(path.Child("volumeName"), ""))
	case volume == nil:
		errs = append(errs, field.NotFound(path.Child("volumeName"), ref.VolumeName))
	case volume.EmptyDir == nil:
		errs = append(errs, field.Invalid(path.Child("volumeName"), ref.VolumeName, "must be an emptyDir volume"))
	}
	if ref.Path == "" {
		return append(errs, field.Required(path.Child("path"), ""))
	}
	return append(errs, checkVolumeFilePath(ref.Path, path.Child("path"))...)
}

func checkEnvFrom(sources []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, source := range sources {
		at := path.Index(i)
		if source.Prefix != "" {
			errs = append(errs, rules.Invalid(at.Child("prefix"), source.Prefix, validation.IsRelaxedEnvVarName(source.Prefix)...)...)
		}
		if source.ConfigMapRef != nil {
			errs = append(errs, checkRequired(source.ConfigMapRef.Name, at.Child("configMapRef", "name"))...)
		}
		if source.SecretRef != nil {
			errs = append(errs, checkRequired(source.SecretRef.Name, at.Child("secretRef", "name"))...)
		}
		switch {
		case source.ConfigMapRef == nil && source.SecretRef == nil:
			errs = append(errs, field.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
		case source.ConfigMapRef != nil && source.SecretRef != nil:
			errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

// checkFieldRef checks a reference to a field of the pod itself.
func checkFieldRef(ref *corev1.ObjectFieldSelector, allowed sets.Set[string], path *field.Path) field.ErrorList {
	if ref.APIVersion == "" {
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	}
	if ref.FieldPath == "" {
		return field.ErrorList{field.Required(path.Child("fieldPath"), "")}
	}
	at := path.Child("fieldPath")
	if ref.APIVersion != "v1" {
		return field.ErrorList{field.Invalid(at, ref.FieldPath, "error converting fieldPath: unsupported pod version: "+ref.APIVersion)}
	}
	base, key, subscripted := splitSubscript(ref.FieldPath)
	if !podFieldPaths.Has(base) {
		return field.ErrorList{field.Invalid(at, ref.FieldPath, "error converting fieldPath: field label not supported: "+ref.FieldPath)}
	}
	switch {
	case !subscripted && !allowed.Has(base):
		return field.ErrorList{field.NotSupported(at, base, sets.List(allowed))}
	case !subscripted:
		return nil
	case base == "metadata.annotations":
		return rules.Invalid(path, key, validation.IsQualifiedName(strings.ToLower(key))...)
	case base == "metadata.labels":
		return rules.Invalid(path, key, validation.IsQualifiedName(key)...)
	}
	return field.ErrorList{field.Invalid(path, base, "does not support subscript")}
}

// splitSubscript splits "metadata.labels['key']" into its two parts.
func splitSubscript(path string) (base, key string, subscripted bool) {
	rest, closed := strings.CutSuffix(path, "']")
	if !closed {
		return path, "", false
	}
	base, key, opened := strings.Cut(rest, "['")
	if !opened || base == "" {
		return path, "", false
	}
	return base, key, true
}

// checkResourceFieldRef checks a reference to a resource of a container, which a
// volume has to name.
func checkResourceFieldRef(ref *corev1.ResourceFieldSelector, inVolume bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case inVolume && ref.ContainerName == "":
		errs = append(errs, field.Required(path.Child("containerName"), ""))
	case ref.Resource == "":
		errs = append(errs, field.Required(path.Child("resource"), ""))
	case !resourceFields.Has(ref.Resource) && !isHugePagesField(ref.Resource):
		errs = append(errs, field.NotSupported(path.Child("resource"), ref.Resource, sets.List(resourceFields)))
	}
	return append(errs, checkDivisor(ref.Resource, ref.Divisor, path.Child("divisor"))...)
}

func isHugePagesField(name string) bool {
	return strings.HasPrefix(name, "limits."+corev1.ResourceHugePagesPrefix) ||
		strings.HasPrefix(name, "requests."+corev1.ResourceHugePagesPrefix)
}

func checkDivisor(name string, divisor resource.Quantity, path *field.Path) field.ErrorList {
	if divisor.IsZero() {
		return nil
	}
	allowed, listed, kind := byteDivisors, "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei", ""
	switch {
	case strings.HasSuffix(name, ".cpu"):
		allowed, listed, kind = cpuDivisors, "1m and 1", "cpu"
	case strings.HasSuffix(name, ".memory"):
		kind = "memory"
	case strings.HasSuffix(name, ".ephemeral-storage"):
		kind = "local ephemeral storage"
	case isHugePagesField(name):
		kind = "hugepages"
	default:
		return nil // refused already for its name
	}
	if allowed.Has(divisor.String()) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name,
		fmt.Sprintf("only divisor's values %s are supported with the %s resource", listed, kind))}
}

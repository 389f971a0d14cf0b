package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	notPositive  = "must be greater than zero"
	notAnInteger = "must be an integer"
)

// checkName checks the name of an object that value refers to.
func checkName(value string, path *field.Path, valid apivalidation.ValidateNameFunc) field.ErrorList {
	return rules.Invalid(path, value, valid(value, false)...)
}

func checkPort(port int32, path *field.Path) field.ErrorList {
	return rules.Invalid(path, port, validation.IsValidPortNum(int(port))...)
}

func checkPortOrName(port intstr.IntOrString, path *field.Path) field.ErrorList {
	switch port.Type {
	case intstr.Int:
		return rules.Invalid(path, port.IntValue(), validation.IsValidPortNum(port.IntValue())...)
	case intstr.String:
		return rules.Invalid(path, port.StrVal, validation.IsValidPortName(port.StrVal)...)
	}
	return field.ErrorList{field.Invalid(path, port, "must be a number or a name")}
}

// checkOptionalEnum checks a value that may be left out. Like rules.Enum it names
// the allowed ones in the order given, which is the one that users know.
func checkOptionalEnum[T ~string](value *T, path *field.Path, allowed ...T) field.ErrorList {
	if value == nil {
		return nil
	}
	return rules.Enum(*value, path, allowed...)
}

// checkRequired checks that text is not empty.
func checkRequired(text string, path *field.Path) field.ErrorList {
	if text == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return nil
}

func checkProtocol(p corev1.Protocol, path *field.Path) field.ErrorList {
	return rules.RequiredEnum(p, path, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

// nonNegative checks several counters that belong to the parent.
func nonNegative(parent *field.Path, counters map[string]int64) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sets.List(sets.KeySet(counters)) {
		errs = append(errs, apivalidation.ValidateNonnegativeField(counters[name], parent.Child(name))...)
	}
	return errs
}

// checkRelativePath checks a path below a volume or a directory of the node.
func checkRelativePath(path string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(path, "/") {
		errs = append(errs, field.Invalid(at, path, "must be a relative path"))
	}
	return append(errs, checkNoBacksteps(path, at)...)
}

func checkNoBacksteps(path string, at *field.Path) field.ErrorList {
	for _, part := range strings.Split(strings.ReplaceAll(path, `\`, "/"), "/") {
		if part == ".." {
			return field.ErrorList{field.Invalid(at, path, "must not contain '..'")}
		}
	}
	return nil
}

// checkVolumeFilePath checks the path of a file that the node agent writes: names
// that start with ".." are its own.
func checkVolumeFilePath(path string, at *field.Path) field.ErrorList {
	errs := checkRelativePath(path, at)
	if strings.HasPrefix(path, "..") && !strings.HasPrefix(path, "../") && path != ".." {
		errs = append(errs, field.Invalid(at, path, "must not start with '..'"))
	}
	return errs
}

func checkFileMode(mode *int32, path *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(path, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

// forbid refuses those fields below path that are set.
func forbid(path *field.Path, refusal string, set map[string]bool) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sets.List(sets.KeySet(set)) {
		if set[name] {
			errs = append(errs, field.Forbidden(path.Child(name), refusal))
		}
	}
	return errs
}

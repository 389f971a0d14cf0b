package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	notPositive  = "must be greater than zero"
	notAnInteger = "must be an integer"
)

var (
	metadataPath = field.NewPath("metadata")
	specPath     = field.NewPath("spec")
	statusPath   = field.NewPath("status")
	templatePath = specPath.Child("template")
)

// invalid returns one error for each of the messages that a check of k8s.io/
// apimachinery gave about value.
func invalid(path *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}

func checkDNSLabel(value string, path *field.Path) field.ErrorList {
	return invalid(path, value, validation.IsDNS1123Label(value)).WithOrigin("format=k8s-short-name")
}

func checkDNSSubdomain(value string, path *field.Path) field.ErrorList {
	return invalid(path, value, validation.IsDNS1123Subdomain(value)).WithOrigin("format=k8s-long-name")
}

// checkName checks the name of an object that value refers to.
func checkName(value string, path *field.Path, valid apivalidation.ValidateNameFunc) field.ErrorList {
	return invalid(path, value, valid(value, false))
}

func checkPort(port int32, path *field.Path) field.ErrorList {
	return invalid(path, port, validation.IsValidPortNum(int(port)))
}

func checkPortOrName(port intstr.IntOrString, path *field.Path) field.ErrorList {
	switch port.Type {
	case intstr.Int:
		return invalid(path, port.IntValue(), validation.IsValidPortNum(port.IntValue()))
	case intstr.String:
		return invalid(path, port.StrVal, validation.IsValidPortName(port.StrVal))
	}
	return field.ErrorList{field.Invalid(path, port, "must be a number or a name")}
}

// checkEnum checks that value is one of the allowed ones.
func checkEnum[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, value, sets.List(sets.New(allowed...)))}
}

// checkRequiredEnum checks that value is there and is one of the allowed ones.
func checkRequiredEnum[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return checkEnum(value, path, allowed...)
}

// checkOptionalEnum checks a value that may be left out.
func checkOptionalEnum[T ~string](value *T, path *field.Path, allowed ...T) field.ErrorList {
	if value == nil {
		return nil
	}
	return checkEnum(*value, path, allowed...)
}

// checkRequired checks that text is not empty.
func checkRequired(text string, path *field.Path) field.ErrorList {
	if text == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return nil
}

func checkProtocol(p corev1.Protocol, path *field.Path) field.ErrorList {
	return checkRequiredEnum(p, path, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
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

// Package rules has the checks that the validations of many API groups share.
// Each returns every error it finds, with kube's wording.
package rules

import (
	"slices"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Metadata, Spec, Status and Template are the paths where most objects keep
// theirs.
var (
	Metadata = field.NewPath("metadata")
	Spec     = field.NewPath("spec")
	Status   = field.NewPath("status")
	Template = Spec.Child("template")
)

// Invalid returns one error for each message about value.
func Invalid(path *field.Path, value any, messages ...string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}

// Enum checks that value is one of the allowed ones, which are listed in the
// order given.
func Enum[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// RequiredEnum checks that value is there and one of the allowed ones.
func RequiredEnum[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return Enum(value, path, allowed...)
}

// NonNegative checks that value is zero or more.
func NonNegative[N int | int32 | int64](value N, path *field.Path) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(int64(value), path)
}

// NonNegativeIfSet checks an optional number.
func NonNegativeIfSet[N int32 | int64](value *N, path *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	return NonNegative(*value, path)
}

// Immutable checks that value is still what it was.
func Immutable(value, old any, path *field.Path) field.ErrorList {
	return apivalidation.ValidateImmutableField(value, old, path)
}

// NonNegativeIntOrPercent checks a count or a percentage like "25%".
func NonNegativeIntOrPercent(value intstr.IntOrString, path *field.Path) field.ErrorList {
	if value.Type == intstr.Int {
		return NonNegative(value.IntValue(), path)
	}
	return Invalid(path, value.StrVal, validation.IsValidPercent(value.StrVal)...)
}

// Percentage returns the number of a percentage like "25%" and whether value is
// one.
func Percentage(value intstr.IntOrString) (int, bool) {
	if value.Type != intstr.String || len(validation.IsValidPercent(value.StrVal)) > 0 {
		return 0, false
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, 100, false)
	return n, err == nil
}

// AtMost100Percent checks that a percentage is not more than 100%.
func AtMost100Percent(value intstr.IntOrString, path *field.Path) field.ErrorList {
	if n, ok := Percentage(value); ok && n > 100 {
		return field.ErrorList{field.Invalid(path, value, "must not be greater than 100%")}
	}
	return nil
}

// DNSLabel and DNSSubdomain check names.
func DNSLabel(value string, path *field.Path) field.ErrorList {
	return Invalid(path, value, validation.IsDNS1123Label(value)...)
}

// DNSSubdomain checks a name of labels and dots.
func DNSSubdomain(value string, path *field.Path) field.ErrorList {
	return Invalid(path, value, validation.IsDNS1123Subdomain(value)...)
}

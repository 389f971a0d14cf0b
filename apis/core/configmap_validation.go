package core

import (
	"bytes"
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// immutableData is what a change of an immutable object's data is refused with.
const immutableData = "field is immutable when `immutable` is set"

// ValidateConfigMap returns what is wrong with a config map.
func ValidateConfigMap(_ context.Context, c *corev1.ConfigMap) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	size := 0
	for _, key := range sets.List(sets.KeySet(c.Data)) {
		at := field.NewPath("data").Key(key)
		errs = append(errs, rules.Invalid(at, key, validation.IsConfigMapKey(key)...)...)
		if _, twice := c.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(at, key, "duplicate of key present in binaryData"))
		}
		size += len(c.Data[key])
	}
	for _, key := range sets.List(sets.KeySet(c.BinaryData)) {
		errs = append(errs, rules.Invalid(field.NewPath("binaryData").Key(key), key, validation.IsConfigMapKey(key)...)...)
		size += len(c.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return errs
}

// ValidateConfigMapUpdate returns what is wrong with a change of a config map.
func ValidateConfigMapUpdate(ctx context.Context, c, old *corev1.ConfigMap) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&c.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	if isTrue(old.Immutable) {
		if !isTrue(c.Immutable) {
			errs = append(errs, field.Forbidden(field.NewPath("immutable"), immutableData))
		}
		if !maps.Equal(c.Data, old.Data) {
			errs = append(errs, field.Forbidden(field.NewPath("data"), immutableData))
		}
		if !maps.EqualFunc(c.BinaryData, old.BinaryData, bytes.Equal) {
			errs = append(errs, field.Forbidden(field.NewPath("binaryData"), immutableData))
		}
	}
	return append(errs, ValidateConfigMap(ctx, c)...)
}

func isTrue(b *bool) bool { return b != nil && *b }

package core

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// addOptionConversions teaches s to decode the query of a request into the
// option types of exec, attach, log, port-forward and proxy. The published types
// bring no such conversion; their JSON tags name the parameters.
func addOptionConversions(s *runtime.Scheme) error {
	for _, options := range []runtime.Object{
		&corev1.PodAttachOptions{},
		&corev1.PodExecOptions{},
		&corev1.PodLogOptions{},
		&corev1.PodPortForwardOptions{},
		&corev1.PodProxyOptions{},
		&corev1.NodeProxyOptions{},
		&corev1.ServiceProxyOptions{},
	} {
		err := s.AddConversionFunc((*url.Values)(nil), options, func(in, out any, scope conversion.Scope) error {
			return decodeQuery(*in.(*url.Values), out, scope)
		})
		if err != nil {
			return fmt.Errorf("%T: %w", options, err)
		}
	}
	return nil
}

// decodeQuery sets each field of the struct that out points to from the query
// parameter named like the field's JSON tag. Parameters without a field, such
// as timeout, are left alone.
func decodeQuery(query url.Values, out any, scope conversion.Scope) error {
	target := reflect.ValueOf(out).Elem()
	for i := range target.NumField() {
		name, _, _ := strings.Cut(target.Type().Field(i).Tag.Get("json"), ",")
		values, given := query[name]
		if name == "" || !given || len(values) == 0 {
			continue
		}
		if err := decodeParameter(values, target.Field(i).Addr().Interface(), scope); err != nil {
			return fmt.Errorf("query parameter %q: %w", name, err)
		}
	}
	return nil
}

// decodeParameter stores the values of one query parameter in the field.
func decodeParameter(values []string, field any, scope conversion.Scope) error {
	switch f := field.(type) {
	case *string:
		*f = values[0]
	case **string:
		*f = &values[0]
	case *[]string:
		*f = append([]string(nil), values...)
	case *bool:
		return runtime.Convert_Slice_string_To_bool(&values, f, scope)
	case *int64:
		return runtime.Convert_Slice_string_To_int64(&values, f, scope)
	case **int64:
		return runtime.Convert_Slice_string_To_Pointer_int64(&values, f, scope)
	case *[]int32:
		return metav1.Convert_Slice_string_To_Slice_int32(&values, f, scope)
	case **metav1.Time:
		return metav1.Convert_Slice_string_To_Pointer_v1_Time(&values, f, scope)
	default:
		return fmt.Errorf("cannot decode into %T", field)
	}
	return nil
}

package env

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Var is a variable with its final value.
type Var struct {
	Name, Value string
}

// String returns NAME=value.
func (v Var) String() string { return v.Name + "=" + v.Value }

// Strings returns NAME=value of each.
func Strings(variables []Var) []string {
	out := make([]string, len(variables))
	for i, v := range variables {
		out[i] = v.String()
	}
	return out
}

// Input is what the environment of one container is made from.
type Input struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	// Fields has what is known about the pod but may not be in its status yet.
	Fields Fields
	// Services are those of the pod's namespace and the API server's own (default/kubernetes).
	Services []*corev1.Service
	// ConfigMap and Secret return an object of the pod's namespace; a missing one is an error that apierrors.IsNotFound knows.
	ConfigMap func(name string) (*corev1.ConfigMap, error)
	Secret    func(name string) (*corev1.Secret, error)
}

// Result is an environment.
type Result struct {
	Vars []Var
	// Invalid are keys of envFrom sources that can be no variable's name, by source ("configMap ns/name").
	Invalid map[string][]string
}

// Make returns the container's environment: envFrom in its order, then env in
// its order, then the variables of Services that nobody has set, by name. A
// name that is set twice stands where it was first set, with the value that was
// set last. The error's text is shown to users (CreateContainerConfigError).
func Make(in Input) (Result, error) {
	b := builder{in: in, index: map[string]int{}, services: serviceVars(in.Pod, in.Services)}
	for i := range in.Container.EnvFrom {
		if err := b.addFrom(&in.Container.EnvFrom[i]); err != nil {
			return Result{}, err
		}
	}
	for i := range in.Container.Env {
		if err := b.add(&in.Container.Env[i]); err != nil {
			return Result{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.services)) {
		if _, ok := b.index[name]; !ok {
			b.set(name, b.services[name])
		}
	}
	return b.result, nil
}

type builder struct {
	in       Input
	services map[string]string
	index    map[string]int // of a name in result.Vars
	result   Result
}

func (b *builder) set(name, value string) {
	if i, ok := b.index[name]; ok {
		b.result.Vars[i].Value = value
		return
	}
	b.index[name] = len(b.result.Vars)
	b.result.Vars = append(b.result.Vars, Var{Name: name, Value: value})
}

// lookup finds what may be referred to at this point: what is set so far, and Services.
func (b *builder) lookup(name string) (string, bool) {
	if i, ok := b.index[name]; ok {
		return b.result.Vars[i].Value, true
	}
	value, ok := b.services[name]
	return value, ok
}

func (b *builder) add(v *corev1.EnvVar) error {
	if v.ValueFrom == nil {
		b.set(v.Name, Expand(v.Value, b.lookup))
		return nil
	}
	value, ok, err := b.fromSource(v.ValueFrom)
	if err != nil || !ok {
		return err
	}
	b.set(v.Name, value)
	return nil
}

// fromSource returns false if an optional source is not there.
func (b *builder) fromSource(source *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case source.FieldRef != nil:
		value, err := b.in.Fields.Value(b.in.Pod, source.FieldRef.FieldPath)
		return value, true, err
	case source.ResourceFieldRef != nil:
		value, err := b.in.Fields.Resource(b.in.Pod, source.ResourceFieldRef, b.in.Container.Name)
		return value, true, err
	case source.ConfigMapKeyRef != nil:
		return b.configMapKey(source.ConfigMapKeyRef)
	case source.SecretKeyRef != nil:
		return b.secretKey(source.SecretKeyRef)
	default:
		return "", false, fmt.Errorf("this kind of environment variable source is not supported by this node")
	}
}

func (b *builder) configMapKey(ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	optional := ref.Optional != nil && *ref.Optional
	object, err := b.in.ConfigMap(ref.Name)
	if err != nil {
		return "", false, ignoreMissing(err, optional)
	}
	if value, ok := object.Data[ref.Key]; ok {
		return value, true, nil
	}
	if optional {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, b.in.Pod.Namespace, ref.Name)
}

func (b *builder) secretKey(ref *corev1.SecretKeySelector) (string, bool, error) {
	optional := ref.Optional != nil && *ref.Optional
	object, err := b.in.Secret(ref.Name)
	if err != nil {
		return "", false, ignoreMissing(err, optional)
	}
	if value, ok := object.Data[ref.Key]; ok {
		return string(value), true, nil
	}
	if optional {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, b.in.Pod.Namespace, ref.Name)
}

func (b *builder) addFrom(source *corev1.EnvFromSource) error {
	var data map[string]string
	var origin string
	switch {
	case source.ConfigMapRef != nil:
		origin = "configMap " + b.in.Pod.Namespace + "/" + source.ConfigMapRef.Name
		object, err := b.in.ConfigMap(source.ConfigMapRef.Name)
		if err != nil {
			return ignoreMissing(err, source.ConfigMapRef.Optional != nil && *source.ConfigMapRef.Optional)
		}
		data = object.Data
	case source.SecretRef != nil:
		origin = "secret " + b.in.Pod.Namespace + "/" + source.SecretRef.Name
		object, err := b.in.Secret(source.SecretRef.Name)
		if err != nil {
			return ignoreMissing(err, source.SecretRef.Optional != nil && *source.SecretRef.Optional)
		}
		data = make(map[string]string, len(object.Data))
		for key, value := range object.Data {
			data[key] = string(value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		name := source.Prefix + key
		if problems := validation.IsRelaxedEnvVarName(name); len(problems) > 0 {
			if b.result.Invalid == nil {
				b.result.Invalid = map[string][]string{}
			}
			b.result.Invalid[origin] = append(b.result.Invalid[origin], key)
			continue
		}
		b.set(name, data[key])
	}
	return nil
}

func ignoreMissing(err error, optional bool) error {
	if optional && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// InvalidMessage is the text of the event InvalidEnvironmentVariableNames.
func InvalidMessage(origin string, keys []string) string {
	return fmt.Sprintf("Keys [%s] from the EnvFrom %s were skipped since they are considered invalid environment variable names.",
		strings.Join(keys, ", "), origin)
}

package env

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) {
		value, ok := map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""}[name]
		return value, ok
	}
	for input, want := range map[string]string{
		"":              "",
		"plain":         "plain",
		"$(A)":          "1",
		"x$(A)y$(A)z":   "x1y1z",
		"$(B)":          "$(A)", // values are not expanded again
		"$(EMPTY)":      "",
		"$(UNKNOWN)":    "$(UNKNOWN)",
		"$$(A)":         "$(A)",
		"$$$(A)":        "$1",
		"$$$$(A)":       "$$(A)",
		"$(A":           "$(A",
		"$":             "$",
		"a$":            "a$",
		"$A ${A}":       "$A ${A}",
		"$(A$(A))":      "$(A$(A))",
		"$(A)$(":        "1$(",
		"$()":           "$()",
		"100%$(A)$(A)$": "100%11$",
	} {
		if got := Expand(input, lookup); got != want {
			t.Errorf("Expand(%q) = %q, want %q", input, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"$(A)", "$$", "$(", "a$(B)c$$(D)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		none := func(string) (string, bool) { return "", false }
		got := Expand(input, none)
		if !strings.Contains(input, "$$") && got != input {
			t.Errorf("Expand(%q) = %q without any variable", input, got)
		}
	})
}

var notFound = apierrors.NewNotFound(corev1.Resource("configmaps"), "none")

func input(container corev1.Container) Input {
	return Input{
		Pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "web", Namespace: "shop", UID: "uid-1",
				Labels: map[string]string{"b": "2", "a": "1"}, Annotations: map[string]string{"note": "x\ny"},
			},
			Spec: corev1.PodSpec{NodeName: "n1", ServiceAccountName: "sa", Containers: []corev1.Container{container}},
		},
		Container: &container,
		Fields: Fields{
			PodIPs: []string{"10.244.0.5", "fd00::5"}, HostIPs: []string{"192.0.2.1"},
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1900m"), corev1.ResourceMemory: resource.MustParse("1Gi")},
		},
		ConfigMap: func(name string) (*corev1.ConfigMap, error) {
			if name != "cm" {
				return nil, notFound
			}
			return &corev1.ConfigMap{Data: map[string]string{"key": "value", "other": "second", "bad=key": "no"}}, nil
		},
		Secret: func(name string) (*corev1.Secret, error) {
			if name != "secret" {
				return nil, notFound
			}
			return &corev1.Secret{Data: map[string][]byte{"password": []byte("hunter2")}}, nil
		},
	}
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

// Conformance: "Variable Expansion should allow composing env vars into new env vars",
// "ConfigMap should be consumable via environment variable", "ConfigMap should be consumable via the environment",
// "Secrets should be consumable from pods in env vars", "Secrets should be consumable via the environment",
// "Downward API should provide pod name, namespace and IP address as env vars".
func TestMake(t *testing.T) {
	key := func(name, key string, optional *bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: optional}}
	}
	secret := func(name, key string, optional *bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: optional}}
	}
	resources := func(name, divisor string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: name, Divisor: resource.MustParse(divisor)}}
	}
	from := func(prefix, configMap string, optional *bool) corev1.EnvFromSource {
		return corev1.EnvFromSource{Prefix: prefix, ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: configMap}, Optional: optional}}
	}
	tests := []struct {
		name      string
		env       []corev1.EnvVar
		from      []corev1.EnvFromSource
		limits    corev1.ResourceList
		want      []string
		wantError string
	}{
		{name: "values refer to what is set before", env: []corev1.EnvVar{{Name: "A", Value: "$(B)"}, {Name: "B", Value: "b"}, {Name: "C", Value: "$(B)c"}},
			want: []string{"A=$(B)", "B=b", "C=bc"}},
		{name: "set twice", env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "A", Value: "$(A)3"}},
			want: []string{"A=13", "B=2"}},
		{name: "empty value", env: []corev1.EnvVar{{Name: "A"}}, want: []string{"A="}},
		{name: "fields", env: []corev1.EnvVar{
			{Name: "NAME", ValueFrom: field("metadata.name")}, {Name: "NS", ValueFrom: field("metadata.namespace")},
			{Name: "UID", ValueFrom: field("metadata.uid")}, {Name: "NODE", ValueFrom: field("spec.nodeName")},
			{Name: "SA", ValueFrom: field("spec.serviceAccountName")}, {Name: "HOST", ValueFrom: field("status.hostIP")},
			{Name: "IP", ValueFrom: field("status.podIP")}, {Name: "IPS", ValueFrom: field("status.podIPs")},
			{Name: "LABEL", ValueFrom: field("metadata.labels['a']")}, {Name: "NOTE", ValueFrom: field("metadata.annotations['note']")},
		}, want: []string{"NAME=web", "NS=shop", "UID=uid-1", "NODE=n1", "SA=sa", "HOST=192.0.2.1", "IP=10.244.0.5", "IPS=10.244.0.5,fd00::5", "LABEL=1", "NOTE=x\ny"}},
		{name: "unknown field", env: []corev1.EnvVar{{Name: "A", ValueFrom: field("spec.color")}}, wantError: "unsupported fieldPath: spec.color"},
		{name: "resources", env: []corev1.EnvVar{
			{Name: "CPU", ValueFrom: resources("limits.cpu", "0")}, {Name: "CPUM", ValueFrom: resources("limits.cpu", "1m")},
			{Name: "MEM", ValueFrom: resources("limits.memory", "1Mi")}, {Name: "REQ", ValueFrom: resources("requests.memory", "0")},
		}, limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1500Ki")}, want: []string{"CPU=2", "CPUM=1900", "MEM=2", "REQ=0"}},
		{name: "keys", env: []corev1.EnvVar{{Name: "A", ValueFrom: key("cm", "key", nil)}, {Name: "B", ValueFrom: secret("secret", "password", nil)}},
			want: []string{"A=value", "B=hunter2"}},
		{name: "optional and missing", env: []corev1.EnvVar{
			{Name: "A", ValueFrom: key("none", "key", ptr.To(true))}, {Name: "B", ValueFrom: key("cm", "none", ptr.To(true))},
			{Name: "C", ValueFrom: secret("none", "key", ptr.To(true))}, {Name: "D", ValueFrom: secret("secret", "none", ptr.To(true))}}},
		{name: "missing key", env: []corev1.EnvVar{{Name: "A", ValueFrom: key("cm", "none", nil)}}, wantError: "couldn't find key none in ConfigMap shop/cm"},
		{name: "missing secret key", env: []corev1.EnvVar{{Name: "A", ValueFrom: secret("secret", "none", nil)}}, wantError: "couldn't find key none in Secret shop/secret"},
		{name: "missing object", env: []corev1.EnvVar{{Name: "A", ValueFrom: key("none", "key", nil)}}, wantError: `configmaps "none" not found`},
		{name: "whole objects", from: []corev1.EnvFromSource{from("P_", "cm", nil),
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "secret"}}}},
			env:  []corev1.EnvVar{{Name: "P_key", Value: "mine, not $(P_key)"}},
			want: []string{"P_key=mine, not value", "P_other=second", "password=hunter2"}},
		{name: "whole optional object", from: []corev1.EnvFromSource{from("", "none", ptr.To(true))}},
		{name: "whole missing object", from: []corev1.EnvFromSource{from("", "none", nil)}, wantError: `configmaps "none" not found`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Make(input(corev1.Container{Name: "c", Env: test.env, EnvFrom: test.from, Resources: corev1.ResourceRequirements{Limits: test.limits}}))
			if test.wantError != "" {
				if err == nil || err.Error() != test.wantError {
					t.Fatalf("got error %v, want %s", err, test.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var strings []string
			if len(got.Vars) > 0 {
				strings = Strings(got.Vars)
			}
			if diff := cmp.Diff(test.want, strings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInvalidNamesAreSkipped(t *testing.T) {
	in := input(corev1.Container{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}}})
	got, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"configMap shop/cm": {"bad=key"}}, got.Invalid); diff != "" {
		t.Error(diff)
	}
}

func TestServices(t *testing.T) {
	service := func(namespace, name, ip string, ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
	}
	services := []*corev1.Service{
		service("default", "kubernetes", "10.96.0.1", corev1.ServicePort{Name: "https", Port: 443}),
		service("default", "other", "10.96.0.2", corev1.ServicePort{Port: 80}),
		service("shop", "headless", "None", corev1.ServicePort{Port: 80}),
		service("shop", "redis-master", "10.96.0.9", corev1.ServicePort{Name: "main-port", Port: 6379}, corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP}),
	}
	api := []string{
		"KUBERNETES_PORT=tcp://10.96.0.1:443", "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443", "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
		"KUBERNETES_PORT_443_TCP_PORT=443", "KUBERNETES_PORT_443_TCP_PROTO=tcp", "KUBERNETES_SERVICE_HOST=10.96.0.1",
		"KUBERNETES_SERVICE_PORT=443", "KUBERNETES_SERVICE_PORT_HTTPS=443",
	}
	redis := []string{
		"REDIS_MASTER_PORT=tcp://10.96.0.9:6379",
		"REDIS_MASTER_PORT_53_UDP=udp://10.96.0.9:53", "REDIS_MASTER_PORT_53_UDP_ADDR=10.96.0.9", "REDIS_MASTER_PORT_53_UDP_PORT=53", "REDIS_MASTER_PORT_53_UDP_PROTO=udp",
		"REDIS_MASTER_PORT_6379_TCP=tcp://10.96.0.9:6379", "REDIS_MASTER_PORT_6379_TCP_ADDR=10.96.0.9", "REDIS_MASTER_PORT_6379_TCP_PORT=6379", "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp",
		"REDIS_MASTER_SERVICE_HOST=10.96.0.9", "REDIS_MASTER_SERVICE_PORT=6379", "REDIS_MASTER_SERVICE_PORT_MAIN_PORT=6379",
	}
	for _, links := range []bool{true, false} {
		in := input(corev1.Container{})
		in.Services, in.Pod.Spec.EnableServiceLinks = services, &links
		got, err := Make(in)
		if err != nil {
			t.Fatal(err)
		}
		want := api
		if links {
			want = append(append([]string{}, api...), redis...)
		}
		if diff := cmp.Diff(want, Strings(got.Vars)); diff != "" {
			t.Errorf("enableServiceLinks %v: %s", links, diff)
		}
	}
}

func TestFieldsOfWholeMaps(t *testing.T) {
	in := input(corev1.Container{})
	got, err := in.Fields.Value(in.Pod, "metadata.labels")
	if err != nil || got != "a=\"1\"\nb=\"2\"" {
		t.Errorf("got %q, %v", got, err)
	}
	got, err = in.Fields.Value(in.Pod, "metadata.annotations")
	if err != nil || got != `note="x\ny"` {
		t.Errorf("got %q, %v", got, err)
	}
}

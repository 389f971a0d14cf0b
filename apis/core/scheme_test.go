package core

import (
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// newTestScheme returns a scheme with the core group alone.
func newTestScheme(t testing.TB) (*runtime.Scheme, serializer.CodecFactory) {
	t.Helper()
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	if err := AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s, serializer.NewCodecFactory(s)
}

// decode reads a manifest as the API server reads the body of a request.
func decode[T any](t testing.TB, manifest string) *T {
	t.Helper()
	_, codecs := newTestScheme(t)
	obj, err := runtime.Decode(codecs.UniversalDecoder(corev1.SchemeGroupVersion), []byte(manifest))
	if err != nil {
		t.Fatalf("decoding %s: %v", manifest, err)
	}
	typed, ok := any(obj).(*T)
	if !ok {
		t.Fatalf("decoded a %T", obj)
	}
	return typed
}

func TestRowsAreComplete(t *testing.T) {
	s, _ := newTestScheme(t)
	seen := map[string]bool{}
	for _, row := range Resources() {
		if seen[row.Plural] {
			t.Errorf("two rows of %s", row.Plural)
		}
		seen[row.Plural] = true
		if kinds, _, err := s.ObjectKinds(row.New()); err != nil || kinds[0] != row.Kind {
			t.Errorf("%s: the scheme knows the object as %v, %v", row.Plural, kinds, err)
		}
		if row.Validate == nil || row.ValidateUpdate == nil {
			t.Errorf("%s: an object could be stored unchecked", row.Plural)
		}
		hasName := false
		for _, column := range row.Columns {
			hasName = hasName || column.Name == "Name"
		}
		if !hasName {
			t.Errorf("%s: the table does not name its rows", row.Plural)
		}
	}
	for _, plural := range []string{"pods", "replicationcontrollers", "services", "namespaces", "nodes",
		"configmaps", "secrets", "serviceaccounts", "endpoints", "events"} {
		if !seen[plural] {
			t.Errorf("no row of %s", plural)
		}
	}
}

func TestQueryBecomesOptions(t *testing.T) {
	s, _ := newTestScheme(t)
	codec := runtime.NewParameterCodec(s)

	logs := &corev1.PodLogOptions{}
	query, err := url.ParseQuery("container=web&follow=true&tailLines=10&sinceTime=2026-01-02T03:04:05Z&timeout=5s")
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.DecodeParameters(query, corev1.SchemeGroupVersion, logs); err != nil {
		t.Fatal(err)
	}
	if logs.Container != "web" || !logs.Follow || logs.TailLines == nil || *logs.TailLines != 10 ||
		logs.SinceTime == nil || logs.SinceTime.Day() != 2 || logs.LimitBytes != nil {
		t.Errorf("log options %+v", logs)
	}

	exec := &corev1.PodExecOptions{}
	query, err = url.ParseQuery("command=sh&command=-c&command=id&stdin=true&stdout=true&stderr=false&tty=true")
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.DecodeParameters(query, corev1.SchemeGroupVersion, exec); err != nil {
		t.Fatal(err)
	}
	if len(exec.Command) != 3 || exec.Command[2] != "id" || !exec.TTY || !exec.Stdin || !exec.Stdout || exec.Stderr {
		t.Errorf("exec options %+v", exec)
	}

	ports := &corev1.PodPortForwardOptions{}
	if err := codec.DecodeParameters(url.Values{"ports": {"80", "443"}}, corev1.SchemeGroupVersion, ports); err != nil {
		t.Fatal(err)
	}
	if len(ports.Ports) != 2 || ports.Ports[1] != 443 {
		t.Errorf("port-forward options %+v", ports)
	}

	if err := codec.DecodeParameters(url.Values{"tailLines": {"many"}}, corev1.SchemeGroupVersion, &corev1.PodLogOptions{}); err == nil {
		t.Error("tailLines=many was accepted")
	}
}

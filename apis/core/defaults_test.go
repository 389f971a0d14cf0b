package core

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with the file, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

func TestDefaults(t *testing.T) {
	s, codecs := newTestScheme(t)
	files, err := filepath.Glob("testdata/defaults/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.yaml") {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			manifest, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			obj, err := runtime.Decode(codecs.UniversalDecoder(corev1.SchemeGroupVersion), manifest)
			if err != nil {
				t.Fatal(err)
			}
			once := obj.DeepCopyObject()
			s.Default(obj)
			if !equality.Semantic.DeepEqual(once, obj) {
				t.Error("defaulting twice changed the object")
			}
			text, err := runtime.Encode(codecs.LegacyCodec(corev1.SchemeGroupVersion), obj)
			if err != nil {
				t.Fatal(err)
			}
			out, err := yaml.JSONToYAML(text)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden.yaml", out)
		})
	}
}

func TestPullPolicyFollowsTheTag(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"nginx":                              corev1.PullAlways,
		"nginx:latest":                       corev1.PullAlways,
		"nginx:1.27":                         corev1.PullIfNotPresent,
		"registry:5000/nginx":                corev1.PullAlways,
		"registry:5000/nginx:1.27":           corev1.PullIfNotPresent,
		"nginx@sha256:0123456789abcdef":      corev1.PullIfNotPresent,
		"nginx:1.27@sha256:0123456789abcdef": corev1.PullIfNotPresent,
	} {
		if got := defaultPullPolicy(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestListsAreDefaultedItemByItem(t *testing.T) {
	s, _ := newTestScheme(t)
	list := &corev1.PodList{Items: []corev1.Pod{{}, {}}}
	s.Default(list)
	for i := range list.Items {
		if list.Items[i].Spec.RestartPolicy != corev1.RestartPolicyAlways {
			t.Errorf("item %d has no defaults", i)
		}
	}
}

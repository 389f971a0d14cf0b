package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/server/storage/etcdtest"
)

func TestEmbeddedKeepsItsData(t *testing.T) {
	cfg := EmbeddedConfig{Dir: filepath.Join(t.TempDir(), "etcd"), UnsafeNoFsync: true}
	for run, want := range []string{"", "kept"} {
		b, err := OpenEmbedded(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		got, err := b.Client().Client.Get(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		value := ""
		if len(got.Kvs) > 0 {
			value = string(got.Kvs[0].Value)
		}
		if value != want {
			t.Errorf("run %d: got %q, want %q", run, value, want)
		}
		if _, err := b.Client().Client.Put(t.Context(), "key", "kept"); err != nil {
			t.Fatal(err)
		}
		if size, err := (sizeMonitor{b}).Monitor(t.Context()); err != nil || size.Size == 0 {
			t.Errorf("got size %d, %v", size.Size, err)
		}
		b.Close()
		b.Close() // closing twice does no harm
	}
}

func TestEmbeddedRefusesBadDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(t.Context(), EmbeddedConfig{Dir: file}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestExternalOverTLS(t *testing.T) {
	transportConfig, stop := etcdtest.StartTLS(t)
	b, err := OpenExternal(t.Context(), transportConfig, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if size, err := (sizeMonitor{b}).Monitor(t.Context()); err != nil || size.Size == 0 {
		t.Errorf("got size %d, %v", size.Size, err)
	}
	testStore(t, b)
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := b.Probe(ctx); err == nil {
		t.Error("a stopped etcd answers")
	}
}

func TestExternalNeedsItsCertificates(t *testing.T) {
	transportConfig, _ := etcdtest.StartTLS(t)
	transportConfig.CertFile, transportConfig.KeyFile = "", ""
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if b, err := OpenExternal(ctx, transportConfig, 0); err == nil {
		b.Close()
		t.Error("connected without a client certificate")
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestEmbeddedStore(t *testing.T) {
	b, err := OpenEmbedded(t.Context(), EmbeddedConfig{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	testStore(t, b)
}

// testStore writes and reads through the options that a Getter hands out, with
// and without the watch cache.
func testStore(t *testing.T, b *Backend) {
	t.Helper()
	for _, cached := range []bool{false, true} {
		getter, err := NewGetter(GetterConfig{
			Backend:    b,
			Serializer: scheme.Codecs,
			Storage:    *storagebackend.NewDefaultConfig("/registry", nil),
			Locate: func(schema.GroupResource) (Location, error) {
				return Location{Version: corev1.SchemeGroupVersion, Prefix: map[bool]string{false: "plain", true: "cached"}[cached], NoWatchCache: !cached}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		options, err := getter.GetRESTOptions(corev1.Resource("configmaps"), nil)
		if err != nil {
			t.Fatal(err)
		}
		prefix := "/" + options.ResourcePrefix
		s, destroy, err := options.Decorator(options.StorageConfig, prefix,
			func(obj runtime.Object) (string, error) { return prefix + "/" + obj.(*corev1.ConfigMap).Name, nil },
			func() runtime.Object { return &corev1.ConfigMap{} }, func() runtime.Object { return &corev1.ConfigMapList{} },
			storage.DefaultNamespaceScopedAttr, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := &corev1.ConfigMap{}
		in := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "ns"}, Data: map[string]string{"k": "v"}}
		if err := s.Create(t.Context(), prefix+"/a", in, out, 0); err != nil || out.ResourceVersion == "" {
			t.Fatalf("cached %t: %v", cached, err)
		}
		raw, err := b.Client().Client.Get(t.Context(), "/registry"+prefix+"/a")
		if err != nil || len(raw.Kvs) != 1 || string(raw.Kvs[0].Value[:4]) != "k8s\x00" {
			t.Errorf("cached %t: not stored as protobuf: %v, %v", cached, raw, err)
		}
		got := &corev1.ConfigMap{}
		if err := s.Get(t.Context(), prefix+"/a", storage.GetOptions{}, got); err != nil || got.Data["k"] != "v" || got.Kind != "" {
			t.Errorf("cached %t: got %+v, %v", cached, got, err)
		}
		destroy()
	}
}

func TestGetterNeedsItsParts(t *testing.T) {
	for _, cfg := range []GetterConfig{{}, {Backend: &Backend{}}, {Backend: &Backend{}, Serializer: scheme.Codecs}} {
		if _, err := NewGetter(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// testInformer is a client-go program with a shared informer.
func testInformer(t *testing.T, c *cluster) {
	api := c.client(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(api, 0, informers.WithNamespace(c.namespace))
	events := make(chan string, 100)
	informer := factory.Core().V1().ConfigMaps()
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { events <- "add " + obj.(*corev1.ConfigMap).Name },
		UpdateFunc: func(_, obj any) { events <- "update " + obj.(*corev1.ConfigMap).Name },
		DeleteFunc: func(obj any) { events <- "delete " + obj.(metav1.Object).GetName() },
	}); err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	maps := api.CoreV1().ConfigMaps(c.namespace)
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "made-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating: %v", err)
	}
	made.Data = map[string]string{"a": "b"}
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("updating: %v", err)
	}
	if err := maps.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting: %v", err)
	}
	for _, want := range []string{"add ", "update ", "delete "} {
		awaitEvent(ctx, t, events, want+made.Name)
	}
}

func awaitEvent(ctx context.Context, t *testing.T, events <-chan string, want string) {
	t.Helper()
	for {
		select {
		case got := <-events:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no event %q", want)
		}
	}
}

// testControllerRuntime is a controller-runtime program: for each ConfigMap with
// a label it keeps a Secret of the same name.
func testControllerRuntime(t *testing.T, c *cluster) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	manager, err := ctrl.NewManager(c.config(t), ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 server.Options{BindAddress: "0"},
		Cache:                   ctrlcache.Options{DefaultNamespaces: map[string]ctrlcache.Config{c.namespace: {}}},
		LeaderElection:          true,
		LeaderElectionID:        "mirror",
		LeaderElectionNamespace: c.namespace,
	})
	if err != nil {
		t.Fatalf("building the manager: %v", err)
	}
	api := manager.GetClient()
	mirror := reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		var source corev1.ConfigMap
		if err := api.Get(ctx, request.NamespacedName, &source); err != nil || source.Labels["mirror"] != "yes" {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		copied := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: source.Namespace, Name: source.Name}}
		_, err := ctrl.CreateOrUpdate(ctx, api, copied, func() error {
			copied.StringData = source.Data
			return ctrl.SetControllerReference(&source, copied, scheme)
		})
		return reconcile.Result{}, err
	})
	if err := ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&corev1.Secret{}).Complete(mirror); err != nil {
		t.Fatalf("building the controller: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- manager.Start(ctx) }()

	c.kubectl(t, "create", "configmap", "mirrored", "--from-literal=a=b")
	c.kubectl(t, "label", "configmap", "mirrored", "mirror=yes")
	c.shows(t, 30*time.Second, "Yg==", "get", "secret", "mirrored", "-o", "jsonpath={.data.a}") // base64 of "b"
	c.kubectl(t, "delete", "secret", "mirrored")
	c.shows(t, 30*time.Second, "Yg==", "get", "secret", "mirrored", "-o", "jsonpath={.data.a}")
	c.kubectl(t, "delete", "configmap", "mirrored")
	eventually(t, 30*time.Second, func() error {
		if r := c.try("get", "secret", "mirrored"); r.err == nil {
			return fmt.Errorf("the owned secret is still there")
		}
		return nil
	})
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("the manager ended with: %v", err)
	}
}

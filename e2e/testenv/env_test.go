package testenv

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestMain(m *testing.M) { Main(m) }

func TestSharedServerAnswersInMemoryAndOverTLS(t *testing.T) {
	begin := time.Now()
	env := Shared(t)
	t.Logf("started in %v", time.Since(begin))
	ns := env.Namespace(t)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"}}
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	overTLS, err := kubernetes.NewForConfig(env.SocketConfigFor(t, AdminUser, AdminGroup))
	if err != nil {
		t.Fatal(err)
	}
	got, err := overTLS.CoreV1().ConfigMaps(ns).Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Data["k"] != "v" {
		t.Errorf("got data %v", got.Data)
	}
}

func TestStartServesAndStops(t *testing.T) {
	env := Start(t)
	version, err := env.Client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.Major != "1" || version.Minor != "37" {
		t.Errorf("got version %+v", version)
	}
}

package objects

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

// TestStore: the first read needs no watch, changes are told to those that
// refer to the object, and watches end with the last of them.
func TestStore(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	changed := make(chan types.UID, 100)
	store, err := New(Config{Client: env.Client, Changed: func(uid types.UID) { changed <- uid }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	configMaps := env.Client.CoreV1().ConfigMaps(ns)
	if _, err := store.ConfigMap(t.Context(), ns, "cm"); !apierrors.IsNotFound(err) || err.Error() != `configmap "cm" not found` {
		t.Errorf("missing: %v", err)
	}
	ref := Ref{ConfigMaps, ns, "cm"}
	store.Register("one", []Ref{ref, {Secrets, ns, "other"}})
	store.Register("two", []Ref{ref})
	eventually(t, "the watch has begun", func() bool { _, known := store.cached(ref); return known })

	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm"}, Data: map[string]string{"k": "1"}}
	if object, err = configMaps.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := store.ConfigMap(t.Context(), ns, "cm"); err != nil || got.Data["k"] != "1" {
		t.Errorf("read at once: %v, %v", got, err)
	}
	told := map[types.UID]bool{<-changed: true, <-changed: true}
	if !told["one"] || !told["two"] {
		t.Errorf("told of the creation: %v", told)
	}

	store.Register("two", nil)
	object.Data["k"] = "2"
	if _, err := configMaps.Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if uid := <-changed; uid != "one" {
		t.Errorf("told of the change: %v", uid)
	}
	if got, err := store.ConfigMap(t.Context(), ns, "cm"); err != nil || got.Data["k"] != "2" {
		t.Errorf("after the change: %v, %v", got, err)
	}
	store.Register("one", nil)
	store.mu.Lock()
	defer store.mu.Unlock()
	if len(store.watches)+len(store.byPod) != 0 {
		t.Errorf("left: %v, %v", store.watches, store.byPod)
	}
}

func TestRefs(t *testing.T) {
	configMap := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}, Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: configMap("from")}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: configMap("from")}}}}},
		Containers: []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "PLAIN"},
			{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: configMap("key")}}},
			{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: configMap("from")}}},
			{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: configMap("key")}}}}}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: configMap("volume")}}},
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: configMap("projected")}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: configMap("projected")}}}}}},
		},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
	}}
	want := []Ref{
		{ConfigMaps, "ns", "from"}, {Secrets, "ns", "from"}, {ConfigMaps, "ns", "key"}, {Secrets, "ns", "key"},
		{ConfigMaps, "ns", "volume"}, {Secrets, "ns", "volume"}, {ConfigMaps, "ns", "projected"}, {Secrets, "ns", "projected"}, {Secrets, "ns", "pull"},
	}
	if diff := cmp.Diff(want, Refs(pod)); diff != "" {
		t.Error(diff)
	}
}

// TestTokens: a token is kept until 80 % of its life are over; while no new one
// can be had, the old one serves to its end.
func TestTokens(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(time.Now())
	client := fake.NewClientset()
	var failure error
	requests := 0
	client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		requests++
		request := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		if bound := request.Spec.BoundObjectRef; bound == nil || bound.Kind != "Pod" || bound.UID != "u" {
			t.Errorf("bound to %+v", bound)
		}
		request.Status.Token = string(rune('a' + requests - 1))
		request.Status.ExpirationTimestamp = metav1.NewTime(clk.Now().Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second))
		return true, request, failure
	})
	tokens, err := NewTokens(client.CoreV1(), clk)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"}, Spec: corev1.PodSpec{ServiceAccountName: "sa"}}
	get := func() (Token, error) { return tokens.Get(t.Context(), pod, "", 1000) }
	first, err := get()
	if err != nil || first.RenewAt.Sub(clk.Now()) != 800*time.Second {
		t.Fatalf("first: renewed after %v, %v", first.RenewAt.Sub(clk.Now()), err)
	}
	clk.SetTime(clk.Now().Add(799 * time.Second))
	if again, _ := get(); again.Value != first.Value {
		t.Errorf("a new token before its time: %v", again)
	}
	clk.SetTime(clk.Now().Add(2 * time.Second))
	failure = apierrors.NewInternalError(context.DeadlineExceeded)
	if old, err := get(); err != nil || old.Value != first.Value || !old.RenewAt.After(clk.Now()) {
		t.Errorf("while the API server fails: %v, %v", old, err)
	}
	failure = nil
	second, err := get()
	if err != nil || second.Value == first.Value {
		t.Errorf("after 80 %%: %v, %v", second, err)
	}
	failure = apierrors.NewInternalError(context.DeadlineExceeded)
	clk.SetTime(clk.Now().Add(2000 * time.Second))
	if _, err := get(); err == nil {
		t.Error("an expired token is given out")
	}
	if long, err := func() (Token, error) { failure = nil; return tokens.Get(t.Context(), pod, "", 10*24*3600) }(); err != nil || long.RenewAt.Sub(clk.Now()) != maxTokenAge {
		t.Errorf("a token for ten days is renewed after %v, %v", long.RenewAt.Sub(clk.Now()), err)
	}
	tokens.Forget("u")
	if len(tokens.tokens) != 0 {
		t.Errorf("left: %v", tokens.tokens)
	}
}

// held is a transport whose lists and watches wait until it is open.
type held struct {
	http.RoundTripper
	open chan struct{}
}

func (h held) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Query().Has("fieldSelector") {
		select {
		case <-h.open:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	return h.RoundTripper.RoundTrip(req)
}

// TestChangesBeforeTheWatch: what changes between the first read and the begin
// of the watch is told too; what does not, is not.
func TestChangesBeforeTheWatch(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	open := make(chan struct{})
	config := rest.CopyConfig(env.Admin)
	config.Wrap(func(transport http.RoundTripper) http.RoundTripper { return held{transport, open} })
	slow, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan types.UID, 100)
	store, err := New(Config{Client: slow, Changed: func(uid types.UID) { changed <- uid }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	secrets := env.Client.CoreV1().Secrets(ns)
	write := func(name, value string) {
		t.Helper()
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"k": value}}
		_, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"updated", "created", "deleted", "same", "absent"}
	for _, name := range []string{"updated", "deleted", "same"} {
		write(name, "1")
	}
	for _, name := range names {
		store.Register(types.UID(name), []Ref{{Secrets, ns, name}})
		if _, err := store.Secret(t.Context(), ns, name); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	write("updated", "2")
	write("created", "1")
	if err := secrets.Delete(t.Context(), "deleted", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case uid := <-changed:
		t.Fatalf("%s is told of a change before a watch has begun", uid)
	default:
	}
	close(open)
	eventually(t, "all watches have begun", func() bool {
		store.mu.Lock()
		defer store.mu.Unlock()
		return !slices.ContainsFunc(names, func(name string) bool { return len(store.watches[Ref{Secrets, ns, name}].early) > 0 })
	})
	told := map[types.UID]bool{}
	for len(told) < 3 {
		select {
		case uid := <-changed:
			told[uid] = true
		case <-time.After(10 * time.Second):
			t.Fatalf("told only %v", told)
		}
	}
	if !told["updated"] || !told["created"] || !told["deleted"] || len(changed) > 0 {
		t.Errorf("told: %v and %d more", told, len(changed))
	}
}

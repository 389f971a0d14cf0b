package volumes

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/nodeagent/objects"
)

// With the real API: a config map's change reaches the file without waiting for
// a resync, and a token is good for its pod.
// [sig-auth] ServiceAccounts should mount projected service account token
func TestWithAPIServer(t *testing.T) {
	needMounts(t)
	env := testenv.Start(t)
	ns := env.Namespace(t)
	ctx, client := context.Background(), env.Client.CoreV1()
	var manager *Manager
	store, err := objects.New(objects.Config{Client: env.Client, Changed: func(uid types.UID) { manager.Refresh(uid) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	f := newFixture(t, func(c *Config) {
		c.Clock, c.Objects = clock.RealClock{}, store
		if c.Tokens, err = objects.NewTokens(client, clock.RealClock{}); err != nil {
			t.Fatal(err)
		}
	})
	manager = f.Manager

	if _, err := client.ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := newPod(
		configMapVolume("conf", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}),
		corev1.Volume{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](1200)}}}}}},
	)
	pod.Namespace, pod.UID = ns, ""
	pod.Spec.Containers[0].Image = "x"
	pod.Spec.AutomountServiceAccountToken = ptr.To(false)
	pod, err = client.Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store.Register(pod.UID, objects.Refs(pod))
	f.run(t)

	err = f.Mount(ctx, pod)
	if want := `MountVolume.SetUp failed for volume "conf" : configmap "settings" not found`; err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"a": "1"}}
	if settings, err = client.ConfigMaps(ns).Create(ctx, settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.mustMount(t, pod)
	path := filepath.Join(f.volume(pod, 0), "a")
	if got := read1(t, path); got != "1" {
		t.Errorf("got %q", got)
	}
	// The watch must have begun for the change to be one.
	eventually(t, "the object is watched", func() bool {
		got, err := store.ConfigMap(ctx, ns, "settings")
		if err != nil {
			t.Fatal(err)
		}
		again, err := store.ConfigMap(ctx, ns, "settings")
		return err == nil && got == again
	})
	settings.Data["a"] = "2"
	begun := time.Now()
	if _, err = client.ConfigMaps(ns).Update(ctx, settings, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new content is there", func() bool { return read1(t, path) == "2" })
	t.Logf("a change was in the file after %v", time.Since(begun))

	token := read1(t, filepath.Join(f.volume(pod, 1), "token"))
	review, err := env.Client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	user := review.Status.User
	if want := "system:serviceaccount:" + ns + ":robot"; !review.Status.Authenticated || user.Username != want {
		t.Errorf("the token is %+v, want one of %s", review.Status, want)
	}
	if got := user.Extra["authentication.kubernetes.io/pod-uid"]; len(got) != 1 || got[0] != string(pod.UID) {
		t.Errorf("the token is bound to %v, want %s", got, pod.UID)
	}
}

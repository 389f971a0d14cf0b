package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/skiff-project/skiff/controllers"
	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

// A second instance waits for the lease and takes over when the first one goes;
// what was in progress is neither lost nor done twice.
func TestLeaderElection(t *testing.T) {
	env := testenv.Shared(t)
	ensureNamespace(t, env, "kube-system")
	ns := env.Namespace(t)
	run := func() (*controllers.Manager, func()) {
		cfg := config(env)
		cfg.LeaderElect = true
		cfg.LeaseDuration, cfg.RenewDeadline, cfg.RetryPeriod = 15*time.Second, 10*time.Second, 100*time.Millisecond
		m, err := controllers.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		var stopped atomic.Bool
		stop := func() {
			if stopped.Swap(true) {
				return
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("controllers ended with: %v", err)
			}
		}
		t.Cleanup(stop)
		return m, stop
	}
	wait := func(m *controllers.Manager) {
		t.Helper()
		select {
		case <-m.Ready():
		case <-time.After(testkit.Timeout):
			t.Fatal("never elected")
		}
	}
	first, stopFirst := run()
	wait(first)
	second, _ := run()
	if _, err := env.Client.AppsV1().ReplicaSets(ns).Create(t.Context(), replicaSet("web", 40), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		pods, err := livePods(ctx, env, ns)
		if err == nil && len(pods) == 0 {
			err = errors.New("no pods yet")
		}
		return err
	})
	if second.Healthy() == nil {
		t.Error("two leaders")
	}
	stopFirst()
	wait(second)
	wantPods(t, env, ns, 40)
	testkit.Eventually(t, func(ctx context.Context) error {
		rs, err := env.Client.AppsV1().ReplicaSets(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && rs.Status.Replicas != 40 {
			err = fmt.Errorf("status %+v", rs.Status)
		}
		return err
	})
}

func TestTokenSecrets(t *testing.T) {
	env := testenv.Shared(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(env)
	cfg.ServiceAccountSigningKey = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	testkit.Run(t, cfg)
	ns, ctx := env.Namespace(t), t.Context()
	account, err := env.Client.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "bot"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = env.Client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bot-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "bot"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		s, err := env.Client.CoreV1().Secrets(ns).Get(ctx, "bot-token", metav1.GetOptions{})
		if err == nil && (strings.Count(string(s.Data["token"]), ".") != 2 || string(s.Data["ca.crt"]) != string(testCA) ||
			string(s.Data["namespace"]) != ns || s.Annotations[corev1.ServiceAccountUIDKey] != string(account.UID)) {
			err = fmt.Errorf("secret %+v", s)
		}
		return err
	})
	if err := env.Client.CoreV1().ServiceAccounts(ns).Delete(ctx, "bot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		_, err := env.Client.CoreV1().Secrets(ns).Get(ctx, "bot-token", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there (%v)", err)
	})
}

func TestClusterRoleAggregation(t *testing.T) {
	env := start(t)
	ctx, roles := t.Context(), env.Client.RbacV1().ClusterRoles()
	label := "aggregate-" + rand.String(5)
	rule := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	for _, role := range []*rbacv1.ClusterRole{
		{ObjectMeta: metav1.ObjectMeta{Name: label + "-part", Labels: map[string]string{label: "true"}}, Rules: []rbacv1.PolicyRule{rule}},
		{ObjectMeta: metav1.ObjectMeta{Name: label + "-all"}, AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{label: "true"}}}}},
	} {
		if _, err := roles.Create(ctx, role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = roles.Delete(context.Background(), role.Name, metav1.DeleteOptions{}) })
	}
	has := func(n int) {
		t.Helper()
		testkit.Eventually(t, func(ctx context.Context) error {
			all, err := roles.Get(ctx, label+"-all", metav1.GetOptions{})
			if err == nil && len(all.Rules) != n {
				err = fmt.Errorf("rules %v, want %d", all.Rules, n)
			}
			return err
		})
	}
	has(1)
	if err := roles.Delete(ctx, label+"-part", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	has(0)
}

// counting counts the requests that are no watches.
type counting struct {
	next http.RoundTripper
	seen *atomic.Int64
	last *atomic.Value
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("watch") == "" {
		c.seen.Add(1)
		c.last.Store(r.Method + " " + r.URL.Path)
	}
	return c.next.RoundTrip(r)
}

// With nothing to do, the controllers send nothing.
func TestIdleIsIdle(t *testing.T) {
	env := testenv.Shared(t)
	var seen atomic.Int64
	var last atomic.Value
	cfg := config(env)
	cfg.RESTConfig.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, &seen, &last} })
	testkit.Run(t, cfg)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, nil)
	for i := range 10 {
		d := newDeployment(fmt.Sprintf("web-%d", i), 2)
		labels := map[string]string{"app": d.Name}
		d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = labels, labels
		create(t, env, ns, d)
	}
	for i := range 10 {
		complete(t, env, ns, fmt.Sprintf("web-%d", i), "1")
	}
	// Absence can only be observed for a while: some second must pass without a
	// request before the time is up.
	var counts []int64
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range 20 {
		<-tick.C
		counts = append(counts, seen.Load())
		if n := len(counts); n > 2 && counts[n-1] == counts[n-3] {
			return
		}
	}
	slices.Reverse(counts)
	t.Errorf("requests so far, second by second, latest first: %v; the last was %v", counts, last.Load())
}

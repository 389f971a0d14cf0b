package serviceaccount

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Getter looks up the objects that tokens are bound to. The answers must not be
// changed. An error that says "not found" must be true at the time of the call.
type Getter interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	Node(ctx context.Context, name string) (*corev1.Node, error)
}

// NewGetter returns a Getter that reads service accounts from the lister, all
// else from the API server's watch cache, and asks etcd when something is not
// there. It keeps no copy of pods and secrets.
func NewGetter(client kubernetes.Interface, accounts corelisters.ServiceAccountLister) Getter {
	return &getter{client: client, accounts: accounts}
}

type getter struct {
	client   kubernetes.Interface
	accounts corelisters.ServiceAccountLister
}

func (g *getter) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if account, err := g.accounts.ServiceAccounts(namespace).Get(name); err == nil {
		return account, nil
	}
	return g.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (g *getter) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return cachedThenLive(ctx, name, g.client.CoreV1().Pods(namespace).Get)
}

func (g *getter) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return cachedThenLive(ctx, name, g.client.CoreV1().Secrets(namespace).Get)
}

func (g *getter) Node(ctx context.Context, name string) (*corev1.Node, error) {
	return cachedThenLive(ctx, name, g.client.CoreV1().Nodes().Get)
}

// cachedThenLive reads from the watch cache (resourceVersion 0), which may not
// have seen a new object yet, and only then from etcd.
func cachedThenLive[T any](ctx context.Context, name string, get func(context.Context, string, metav1.GetOptions) (T, error)) (T, error) {
	obj, err := get(ctx, name, metav1.GetOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		obj, err = get(ctx, name, metav1.GetOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		err = fmt.Errorf("looking up %s: %w", name, err)
	}
	return obj, err
}

// Package tokens fills Secrets of type kubernetes.io/service-account-token: with
// a token of the ServiceAccount that their annotation names, the CA bundle and
// the namespace. When the account goes, so do its Secrets.
//
// Such Secrets are the old way to a token; pods get theirs from the token
// subresource through the node agent.
package tokens

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Deps are the things that a Reconciler works with.
type Deps struct {
	Client  client.Client
	Live    client.Reader
	Signer  *Signer
	RootCA  []byte // optional
	Workers int
}

// Reconciler fills token Secrets.
type Reconciler struct{ Deps }

// New returns the controller.
func New(deps Deps) *Reconciler { return &Reconciler{deps} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "tokens-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Secret{}).
		Watches(&corev1.ServiceAccount{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, q podcontrol.Queue) { r.enqueueSecrets(ctx, e.Object, q) },
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q podcontrol.Queue) { r.enqueueSecrets(ctx, e.Object, q) },
		}).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

func (r *Reconciler) enqueueSecrets(ctx context.Context, account client.Object, q podcontrol.Queue) {
	var list corev1.SecretList
	if err := r.Client.List(ctx, &list, client.InNamespace(account.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for the token secrets of a service account", "serviceAccount", account.GetName())
		return
	}
	for i := range list.Items {
		if list.Items[i].Annotations[corev1.ServiceAccountNameKey] == account.GetName() {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
}

// Reconcile fills or deletes one Secret.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var secret corev1.Secret
	if err := r.Client.Get(ctx, req.NamespacedName, &secret); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	name := secret.Annotations[corev1.ServiceAccountNameKey]
	if secret.Type != corev1.SecretTypeServiceAccountToken || name == "" || secret.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	account, err := r.account(ctx, client.ObjectKey{Namespace: secret.Namespace, Name: name})
	if err != nil {
		return ctrl.Result{}, err
	}
	uid := secret.Annotations[corev1.ServiceAccountUIDKey]
	if account == nil || (uid != "" && uid != string(account.UID)) {
		err := r.Client.Delete(ctx, &secret, &client.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion}})
		if podcontrol.IgnoreStale(err) != nil {
			return ctrl.Result{}, fmt.Errorf("deleting the token secret of a service account that is gone: %w", err)
		}
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.fill(ctx, &secret, account)
}

// account returns the ServiceAccount, nil if it does not exist; the cache's word
// is not enough for that.
func (r *Reconciler) account(ctx context.Context, name client.ObjectKey) (*corev1.ServiceAccount, error) {
	var account corev1.ServiceAccount
	err := r.Client.Get(ctx, name, &account)
	if apierrors.IsNotFound(err) {
		err = r.Live.Get(ctx, name, &account)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading service account: %w", err)
	}
	return &account, nil
}

func (r *Reconciler) fill(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	updated := secret.DeepCopy()
	if updated.Data == nil {
		updated.Data = make(map[string][]byte)
	}
	if len(r.RootCA) > 0 {
		updated.Data[corev1.ServiceAccountRootCAKey] = r.RootCA
	}
	if len(updated.Data[corev1.ServiceAccountNamespaceKey]) == 0 {
		updated.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	}
	if len(updated.Data[corev1.ServiceAccountTokenKey]) == 0 {
		token, err := r.Signer.Sign(account, secret)
		if err != nil {
			return err
		}
		updated.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	updated.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	if maps.EqualFunc(secret.Data, updated.Data, bytes.Equal) && maps.Equal(secret.Annotations, updated.Annotations) {
		return nil
	}
	if err := r.Client.Update(ctx, updated); podcontrol.IgnoreStale(err) != nil {
		return fmt.Errorf("writing the token: %w", err)
	}
	return nil
}

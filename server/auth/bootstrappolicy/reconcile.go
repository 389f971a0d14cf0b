package bootstrappolicy

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/klog/v2"
)

const (
	// PostStartHookName is upstream's name of the hook, and so of its health check.
	PostStartHookName = "rbac/bootstrap-roles"

	parallel      = 8
	retryInterval = 250 * time.Millisecond
	retryTimeout  = 30 * time.Second
)

// PostStartHook returns the hook that reconciles the policy. The server is not
// ready before it has run.
func PostStartHook(client kubernetes.Interface) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		var last error
		err := wait.PollUntilContextTimeout(hook, retryInterval, retryTimeout, true, func(ctx context.Context) (bool, error) {
			if last = Reconcile(ctx, client, New()); last != nil {
				klog.FromContext(ctx).V(2).Info("Reconciling the RBAC bootstrap policy, will retry", "err", last)
			}
			return last == nil, nil
		})
		if err != nil && hook.Err() == nil {
			return fmt.Errorf("unable to initialize roles: %w", last)
		}
		return nil
	}
}

// Reconcile makes the stored objects grant at least what the policy says. It
// lists all four kinds first, so a policy that is in place costs no write.
func Reconcile(ctx context.Context, client kubernetes.Interface, policy Policy) error {
	stored, err := list(ctx, client)
	if err != nil {
		return err
	}
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, role := range policy.ClusterRoles {
		group.Go(func() error {
			return stored.role("clusterrole", reconciliation.ClusterRoleRuleOwner{ClusterRole: role})
		})
	}
	for _, role := range policy.Roles {
		group.Go(func() error { return stored.role("role", reconciliation.RoleRuleOwner{Role: role}) })
	}
	for _, binding := range policy.ClusterRoleBindings {
		group.Go(func() error {
			return stored.binding("clusterrolebinding", reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: binding})
		})
	}
	for _, binding := range policy.RoleBindings {
		group.Go(func() error {
			return stored.binding("rolebinding", reconciliation.RoleBindingAdapter{RoleBinding: binding})
		})
	}
	return group.Wait()
}

// store is what the API server held at the start of a run.
type store struct {
	client   kubernetes.Interface
	roles    map[string]reconciliation.RuleOwner
	bindings map[string]reconciliation.RoleBinding
}

func key(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

func list(ctx context.Context, client kubernetes.Interface) (*store, error) {
	var clusterRoles *rbacv1.ClusterRoleList
	var clusterBindings *rbacv1.ClusterRoleBindingList
	var roles *rbacv1.RoleList
	var bindings *rbacv1.RoleBindingList
	api := client.RbacV1()
	group, ctx := errgroup.WithContext(ctx)
	all := metav1.ListOptions{}
	group.Go(func() (err error) { clusterRoles, err = api.ClusterRoles().List(ctx, all); return err })
	group.Go(func() (err error) { clusterBindings, err = api.ClusterRoleBindings().List(ctx, all); return err })
	group.Go(func() (err error) { roles, err = api.Roles(metav1.NamespaceSystem).List(ctx, all); return err })
	group.Go(func() (err error) {
		bindings, err = api.RoleBindings(metav1.NamespaceSystem).List(ctx, all)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("listing the stored roles and bindings: %w", err)
	}
	s := &store{client: client, roles: map[string]reconciliation.RuleOwner{}, bindings: map[string]reconciliation.RoleBinding{}}
	for i := range clusterRoles.Items {
		r := &clusterRoles.Items[i]
		s.roles[key("clusterrole", "", r.Name)] = reconciliation.ClusterRoleRuleOwner{ClusterRole: r}
	}
	for i := range roles.Items {
		r := &roles.Items[i]
		s.roles[key("role", r.Namespace, r.Name)] = reconciliation.RoleRuleOwner{Role: r}
	}
	for i := range clusterBindings.Items {
		b := &clusterBindings.Items[i]
		s.bindings[key("clusterrolebinding", "", b.Name)] = reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: b}
	}
	for i := range bindings.Items {
		b := &bindings.Items[i]
		s.bindings[key("rolebinding", b.Namespace, b.Name)] = reconciliation.RoleBindingAdapter{RoleBinding: b}
	}
	return s, nil
}

func (s *store) role(kind string, role reconciliation.RuleOwner) error {
	var live reconciliation.RuleOwnerModifier = reconciliation.ClusterRoleModifier{Client: s.client.RbacV1().ClusterRoles()}
	if kind == "role" {
		live = reconciliation.RoleModifier{Client: s.client.RbacV1(), NamespaceClient: s.client.CoreV1().Namespaces()}
	}
	options := reconciliation.ReconcileRoleOptions{
		Role:    role,
		Confirm: true,
		Client:  &roleCache{RuleOwnerModifier: live, listed: s.roles[key(kind, role.GetNamespace(), role.GetName())]},
	}
	if _, err := options.Run(); err != nil {
		return fmt.Errorf("reconciling %s %s: %w", kind, role.GetName(), err)
	}
	return nil
}

func (s *store) binding(kind string, binding reconciliation.RoleBinding) error {
	var live reconciliation.RoleBindingModifier = reconciliation.ClusterRoleBindingClientAdapter{Client: s.client.RbacV1().ClusterRoleBindings()}
	if kind == "rolebinding" {
		live = reconciliation.RoleBindingClientAdapter{Client: s.client.RbacV1(), NamespaceClient: s.client.CoreV1().Namespaces()}
	}
	options := reconciliation.ReconcileRoleBindingOptions{
		RoleBinding: binding,
		Confirm:     true,
		Client:      &bindingCache{RoleBindingModifier: live, listed: s.bindings[key(kind, binding.GetNamespace(), binding.GetName())]},
	}
	if _, err := options.Run(); err != nil {
		return fmt.Errorf("reconciling %s %s: %w", kind, binding.GetName(), err)
	}
	return nil
}

// roleCache answers the first Get from the list. The library asks again when it
// lost a race, and then the answer must be fresh.
type roleCache struct {
	reconciliation.RuleOwnerModifier
	listed reconciliation.RuleOwner
	asked  bool
}

func (c *roleCache) Get(namespace, name string) (reconciliation.RuleOwner, error) {
	if c.asked {
		return c.RuleOwnerModifier.Get(namespace, name)
	}
	c.asked = true
	if c.listed == nil {
		return nil, apierrors.NewNotFound(rbacv1.Resource("roles"), name)
	}
	return c.listed, nil
}

// bindingCache is roleCache for bindings.
type bindingCache struct {
	reconciliation.RoleBindingModifier
	listed reconciliation.RoleBinding
	asked  bool
}

func (c *bindingCache) Get(namespace, name string) (reconciliation.RoleBinding, error) {
	if c.asked {
		return c.RoleBindingModifier.Get(namespace, name)
	}
	c.asked = true
	if c.listed == nil {
		return nil, apierrors.NewNotFound(rbacv1.Resource("rolebindings"), name)
	}
	return c.listed, nil
}

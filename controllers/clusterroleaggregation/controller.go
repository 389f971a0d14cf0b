// Package clusterroleaggregation fills ClusterRoles that have an aggregationRule
// (admin, edit, view) with the rules of the roles that it selects.
package clusterroleaggregation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Reconciler aggregates rules.
type Reconciler struct {
	client  client.Client
	workers int
}

// New returns the controller. The client reads the cache.
func New(c client.Client, workers int) *Reconciler { return &Reconciler{client: c, workers: workers} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "clusterrole-aggregation-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		Watches(&rbacv1.ClusterRole{}, handler.EnqueueRequestsFromMapFunc(r.aggregating)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.workers}).
		Complete(r)
}

// aggregating returns all roles with an aggregationRule: which of them a changed
// role concerns also depends on what it was before, and they are few.
func (r *Reconciler) aggregating(ctx context.Context, _ client.Object) []reconcile.Request {
	var list rbacv1.ClusterRoleList
	if err := r.client.List(ctx, &list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for aggregated roles")
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if list.Items[i].AggregationRule != nil {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}

// Reconcile fills one role.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var role rbacv1.ClusterRole
	if err := r.client.Get(ctx, req.NamespacedName, &role); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if role.AggregationRule == nil {
		return ctrl.Result{}, nil
	}
	var all rbacv1.ClusterRoleList
	if err := r.client.List(ctx, &all); err != nil {
		return ctrl.Result{}, fmt.Errorf("listing cluster roles: %w", err)
	}
	rules, err := Rules(&role, all.Items)
	if err != nil {
		return ctrl.Result{}, err
	}
	if equality.Semantic.DeepEqual(rules, role.Rules) {
		return ctrl.Result{}, nil
	}
	updated := role.DeepCopy()
	updated.Rules = rules
	if err := r.client.Update(ctx, updated); podcontrol.IgnoreStale(err) != nil {
		return ctrl.Result{}, fmt.Errorf("writing aggregated rules: %w", err)
	}
	return ctrl.Result{}, nil
}

// Rules returns the union of the rules of the roles that the role's selectors
// match, in the order of their names, each rule once.
func Rules(role *rbacv1.ClusterRole, all []rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("reading aggregation rule of %s: %w", role.Name, err)
		}
		for j := range sorted {
			if sorted[j].Name == role.Name || !selector.Matches(labels.Set(sorted[j].Labels)) {
				continue
			}
			for _, rule := range sorted[j].Rules {
				if !slices.ContainsFunc(rules, func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}

// Package rbac declares the kinds of rbac.authorization.k8s.io/v1: roles and the
// bindings that give them to subjects, in a namespace or in the whole cluster.
package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// AddToScheme registers the kinds and the defaults of the group rbac.authorization.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, rbacv1.SchemeGroupVersion, rbacv1.AddToScheme); err != nil {
		return err
	}
	defaulting.Kind(s, SetDefaultsRoleBinding, func(l *rbacv1.RoleBindingList) []rbacv1.RoleBinding { return l.Items })
	defaulting.Kind(s, SetDefaultsClusterRoleBinding, func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })
	return nil
}

// Resources returns the rows of the group rbac.authorization.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		roleResource(),
		roleBindingResource(),
		clusterRoleResource(),
		clusterRoleBindingResource(),
	}
}

package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group rbac.authorization.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, rbacv1.SchemeGroupVersion, rbacv1.AddToScheme)
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

func roleResource() resource.Resource {
	return resource.Define[rbacv1.Role, rbacv1.RoleList](resource.Definition[rbacv1.Role]{
		Names: resource.Names{
			Kind:           rbacv1.SchemeGroupVersion.WithKind("Role"),
			Plural:         "roles",
			CreateOnUpdate: true,
		},
	})
}

func roleBindingResource() resource.Resource {
	return resource.Define[rbacv1.RoleBinding, rbacv1.RoleBindingList](resource.Definition[rbacv1.RoleBinding]{
		Names: resource.Names{
			Kind:           rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
			Plural:         "rolebindings",
			CreateOnUpdate: true,
		},
	})
}

func clusterRoleResource() resource.Resource {
	return resource.Define[rbacv1.ClusterRole, rbacv1.ClusterRoleList](resource.Definition[rbacv1.ClusterRole]{
		Names: resource.Names{
			Kind:           rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
			Plural:         "clusterroles",
			ClusterScoped:  true,
			CreateOnUpdate: true,
		},
	})
}

func clusterRoleBindingResource() resource.Resource {
	return resource.Define[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList](resource.Definition[rbacv1.ClusterRoleBinding]{
		Names: resource.Names{
			Kind:           rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
			Plural:         "clusterrolebindings",
			ClusterScoped:  true,
			CreateOnUpdate: true,
		},
	})
}

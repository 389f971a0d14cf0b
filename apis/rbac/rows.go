package rbac

import (
	"fmt"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

func names(kind, plural string, clusterScoped bool) resource.Names {
	return resource.Names{
		Kind:           rbacv1.SchemeGroupVersion.WithKind(kind),
		Plural:         plural,
		ClusterScoped:  clusterScoped,
		CreateOnUpdate: true,
	}
}

func roleResource() resource.Resource {
	return resource.Define[rbacv1.Role, rbacv1.RoleList](resource.Definition[rbacv1.Role]{
		Names:          names("Role", "roles", false),
		Validate:       ValidateRole,
		ValidateUpdate: ValidateRoleUpdate,
		Columns:        roleColumns[rbacv1.Role](),
	})
}

func clusterRoleResource() resource.Resource {
	return resource.Define[rbacv1.ClusterRole, rbacv1.ClusterRoleList](resource.Definition[rbacv1.ClusterRole]{
		Names:          names("ClusterRole", "clusterroles", true),
		Validate:       ValidateClusterRole,
		ValidateUpdate: ValidateClusterRoleUpdate,
		Columns:        roleColumns[rbacv1.ClusterRole](),
	})
}

func roleBindingResource() resource.Resource {
	return resource.Define[rbacv1.RoleBinding, rbacv1.RoleBindingList](resource.Definition[rbacv1.RoleBinding]{
		Names:          names("RoleBinding", "rolebindings", false),
		Validate:       ValidateRoleBinding,
		ValidateUpdate: ValidateRoleBindingUpdate,
		Columns: bindingColumns(func(b *rbacv1.RoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) {
			return b.RoleRef, b.Subjects
		}),
	})
}

func clusterRoleBindingResource() resource.Resource {
	return resource.Define[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList](resource.Definition[rbacv1.ClusterRoleBinding]{
		Names:          names("ClusterRoleBinding", "clusterrolebindings", true),
		Validate:       ValidateClusterRoleBinding,
		ValidateUpdate: ValidateClusterRoleBindingUpdate,
		Columns: bindingColumns(func(b *rbacv1.ClusterRoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) {
			return b.RoleRef, b.Subjects
		}),
	})
}

// SetDefaultsRoleBinding completes what the binding refers to.
func SetDefaultsRoleBinding(b *rbacv1.RoleBinding) { setDefaults(&b.RoleRef, b.Subjects) }

// SetDefaultsClusterRoleBinding completes what the binding refers to.
func SetDefaultsClusterRoleBinding(b *rbacv1.ClusterRoleBinding) { setDefaults(&b.RoleRef, b.Subjects) }

// setDefaults puts roles, users and groups into the group of this API. Service
// accounts belong to the core group, whose name is empty.
func setDefaults(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	defaulting.Value(&ref.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		switch s := &subjects[i]; s.Kind {
		case rbacv1.UserKind, rbacv1.GroupKind:
			defaulting.Value(&s.APIGroup, rbacv1.GroupName)
		}
	}
}

// object is a kind with object metadata.
type object[T any] interface {
	*T
	metav1.Object
}

// roleColumns shows the time of creation itself instead of an age.
func roleColumns[T any, PT object[T]]() []resource.TypedColumn[T] {
	return []resource.TypedColumn[T]{
		columns.Name[T, PT](),
		{
			Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
			Value: func(obj *T) any {
				return PT(obj).GetCreationTimestamp().UTC().Format(time.RFC3339)
			},
		},
	}
}

func bindingColumns[T any, PT object[T]](parts func(*T) (rbacv1.RoleRef, []rbacv1.Subject)) []resource.TypedColumn[T] {
	subjects := func(kind string) func(*T) string {
		return func(obj *T) string {
			_, all := parts(obj)
			return subjectsOf(all, kind)
		}
	}
	return []resource.TypedColumn[T]{
		columns.Name[T, PT](),
		columns.Text("Role", rbacv1.RoleBinding{}.SwaggerDoc()["roleRef"], func(obj *T) string {
			ref, _ := parts(obj)
			return fmt.Sprintf("%s/%s", ref.Kind, ref.Name)
		}),
		columns.Age[T, PT](),
		columns.Wide(columns.Text("Users", "Users in the roleBinding", subjects(rbacv1.UserKind))),
		columns.Wide(columns.Text("Groups", "Groups in the roleBinding", subjects(rbacv1.GroupKind))),
		columns.Wide(columns.Text("ServiceAccounts", "ServiceAccounts in the roleBinding", subjects(rbacv1.ServiceAccountKind))),
	}
}

func subjectsOf(all []rbacv1.Subject, kind string) string {
	var list []string
	for _, s := range all {
		switch {
		case s.Kind != kind:
		case kind == rbacv1.ServiceAccountKind:
			list = append(list, fmt.Sprintf("%s/%s", s.Namespace, s.Name))
		default:
			list = append(list, s.Name)
		}
	}
	return strings.Join(list, ", ")
}

package rbac

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
)

// bySubject is the name of the index of bindings by whom they name. Its keys are
// made by subjectKey; those of namespaced bindings start with the namespace.
const bySubject = "subject"

// Store finds bindings by subject and roles by name.
type Store struct {
	roles               rbaclisters.RoleLister
	clusterRoles        rbaclisters.ClusterRoleLister
	roleBindings        cache.Indexer
	clusterRoleBindings cache.Indexer
	synced              []cache.InformerSynced
}

// NewStore adds the index to the binding informers and returns a Store on them.
// It must be called before the informers start.
func NewStore(informers rbacinformers.Interface) (*Store, error) {
	bindings, clusterBindings := informers.RoleBindings().Informer(), informers.ClusterRoleBindings().Informer()
	for name, informer := range map[string]cache.SharedIndexInformer{"rolebindings": bindings, "clusterrolebindings": clusterBindings} {
		if err := informer.AddIndexers(cache.Indexers{bySubject: subjectIndex}); err != nil {
			return nil, fmt.Errorf("indexing %s by subject: %w", name, err)
		}
	}
	return &Store{
		roles:               informers.Roles().Lister(),
		clusterRoles:        informers.ClusterRoles().Lister(),
		roleBindings:        bindings.GetIndexer(),
		clusterRoleBindings: clusterBindings.GetIndexer(),
		synced: []cache.InformerSynced{
			informers.Roles().Informer().HasSynced, informers.ClusterRoles().Informer().HasSynced,
			bindings.HasSynced, clusterBindings.HasSynced,
		},
	}, nil
}

// HasSynced reports whether all four informers have their first list.
func (s *Store) HasSynced() bool {
	for _, synced := range s.synced {
		if !synced() {
			return false
		}
	}
	return true
}

func subjectIndex(obj any) ([]string, error) {
	var keys []string
	switch binding := obj.(type) {
	case *rbacv1.ClusterRoleBinding:
		for _, subject := range binding.Subjects {
			if key := subjectKey(subject, ""); key != "" {
				keys = append(keys, key)
			}
		}
	case *rbacv1.RoleBinding:
		for _, subject := range binding.Subjects {
			if key := subjectKey(subject, binding.Namespace); key != "" {
				keys = append(keys, binding.Namespace+"|"+key)
			}
		}
	}
	return keys, nil
}

// subjectKey returns the index key of a subject, or "" if it can match nobody. A
// service account is a user with a certain name.
func subjectKey(subject rbacv1.Subject, bindingNamespace string) string {
	switch subject.Kind {
	case rbacv1.UserKind:
		return userKey(subject.Name)
	case rbacv1.GroupKind:
		return groupKey(subject.Name)
	case rbacv1.ServiceAccountKind:
		namespace := subject.Namespace
		if namespace == "" {
			namespace = bindingNamespace
		}
		if namespace == "" {
			return ""
		}
		return userKey(serviceaccount.MakeUsername(namespace, subject.Name))
	}
	return ""
}

func userKey(name string) string  { return "u:" + name }
func groupKey(name string) string { return "g:" + name }

func keysOf(u user.Info) []string {
	keys := make([]string, 0, 1+len(u.GetGroups()))
	keys = append(keys, userKey(u.GetName()))
	for _, group := range u.GetGroups() {
		keys = append(keys, groupKey(group))
	}
	return keys
}

// rulesOf returns the rules of the role that a binding in namespace refers to;
// namespace is empty for cluster role bindings.
func (s *Store) rulesOf(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		role, err := s.roles.Roles(namespace).Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	case "ClusterRole":
		role, err := s.clusterRoles.Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	}
	return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
}

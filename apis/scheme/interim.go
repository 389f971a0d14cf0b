package scheme

import (
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skiff-project/skiff/apis/resource"
)

func plain[T, L any, PT resource.Object[T], PL resource.Object[L]](gv schema.GroupVersion, kind, plural string, cluster bool, subs ...string) resource.Resource {
	return resource.Define[T, L, PT, PL](resource.Definition[T]{Names: resource.Names{
		Kind: gv.WithKind(kind), Plural: plural, ClusterScoped: cluster, Subresources: subs,
	}})
}

func hub(gv schema.GroupVersion, add func(*runtime.Scheme) error) func(*runtime.Scheme) error {
	return func(s *runtime.Scheme) error { return resource.AddHub(s, gv, add) }
}

// interim serves groups whose package is not there yet.
var interim = []group{
	{func() []resource.Resource {
		gv := rbacv1.SchemeGroupVersion
		return []resource.Resource{
			plain[rbacv1.Role, rbacv1.RoleList](gv, "Role", "roles", false),
			plain[rbacv1.RoleBinding, rbacv1.RoleBindingList](gv, "RoleBinding", "rolebindings", false),
			plain[rbacv1.ClusterRole, rbacv1.ClusterRoleList](gv, "ClusterRole", "clusterroles", true),
			plain[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList](gv, "ClusterRoleBinding", "clusterrolebindings", true),
		}
	}, hub(rbacv1.SchemeGroupVersion, rbacv1.AddToScheme)},
	{func() []resource.Resource {
		gv := appsv1.SchemeGroupVersion
		return []resource.Resource{
			plain[appsv1.Deployment, appsv1.DeploymentList](gv, "Deployment", "deployments", false, "scale"),
			plain[appsv1.ReplicaSet, appsv1.ReplicaSetList](gv, "ReplicaSet", "replicasets", false, "scale"),
			plain[appsv1.StatefulSet, appsv1.StatefulSetList](gv, "StatefulSet", "statefulsets", false, "scale"),
			plain[appsv1.DaemonSet, appsv1.DaemonSetList](gv, "DaemonSet", "daemonsets", false),
			plain[appsv1.ControllerRevision, appsv1.ControllerRevisionList](gv, "ControllerRevision", "controllerrevisions", false),
		}
	}, hub(appsv1.SchemeGroupVersion, appsv1.AddToScheme)},
	{func() []resource.Resource {
		gv := batchv1.SchemeGroupVersion
		return []resource.Resource{
			plain[batchv1.Job, batchv1.JobList](gv, "Job", "jobs", false),
			plain[batchv1.CronJob, batchv1.CronJobList](gv, "CronJob", "cronjobs", false),
		}
	}, hub(batchv1.SchemeGroupVersion, batchv1.AddToScheme)},
	{func() []resource.Resource {
		return []resource.Resource{plain[coordinationv1.Lease, coordinationv1.LeaseList](coordinationv1.SchemeGroupVersion, "Lease", "leases", false)}
	}, hub(coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme)},
	{func() []resource.Resource {
		return []resource.Resource{plain[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](discoveryv1.SchemeGroupVersion, "EndpointSlice", "endpointslices", false)}
	}, hub(discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme)},
	{func() []resource.Resource {
		return []resource.Resource{plain[schedulingv1.PriorityClass, schedulingv1.PriorityClassList](schedulingv1.SchemeGroupVersion, "PriorityClass", "priorityclasses", true)}
	}, hub(schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme)},
	{nil, hub(authenticationv1.SchemeGroupVersion, authenticationv1.AddToScheme)},
	{nil, hub(authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme)},
	{nil, hub(policyv1.SchemeGroupVersion, policyv1.AddToScheme)},
	{nil, hub(autoscalingv1.SchemeGroupVersion, autoscalingv1.AddToScheme)},
}

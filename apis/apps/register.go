package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group apps.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, appsv1.SchemeGroupVersion, appsv1.AddToScheme)
}

// Resources returns the rows of the group apps.
func Resources() []resource.Resource {
	return []resource.Resource{
		controllerRevisionResource(),
		daemonSetResource(),
		deploymentResource(),
		replicaSetResource(),
		statefulSetResource(),
	}
}

func controllerRevisionResource() resource.Resource {
	return resource.Define[appsv1.ControllerRevision, appsv1.ControllerRevisionList](resource.Definition[appsv1.ControllerRevision]{
		Names: resource.Names{
			Kind:   appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
			Plural: "controllerrevisions",
		},
	})
}

func daemonSetResource() resource.Resource {
	return resource.Define[appsv1.DaemonSet, appsv1.DaemonSetList](resource.Definition[appsv1.DaemonSet]{
		Names: resource.Names{
			Kind:       appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
			Plural:     "daemonsets",
			ShortNames: []string{"ds"},
			Categories: []string{"all"},
		},
	})
}

func deploymentResource() resource.Resource {
	return resource.Define[appsv1.Deployment, appsv1.DeploymentList](resource.Definition[appsv1.Deployment]{
		Names: resource.Names{
			Kind:         appsv1.SchemeGroupVersion.WithKind("Deployment"),
			Plural:       "deployments",
			ShortNames:   []string{"deploy"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
		},
	})
}

func replicaSetResource() resource.Resource {
	return resource.Define[appsv1.ReplicaSet, appsv1.ReplicaSetList](resource.Definition[appsv1.ReplicaSet]{
		Names: resource.Names{
			Kind:         appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
			Plural:       "replicasets",
			ShortNames:   []string{"rs"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
		},
	})
}

func statefulSetResource() resource.Resource {
	return resource.Define[appsv1.StatefulSet, appsv1.StatefulSetList](resource.Definition[appsv1.StatefulSet]{
		Names: resource.Names{
			Kind:         appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
			Plural:       "statefulsets",
			ShortNames:   []string{"sts"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
		},
	})
}

// Package apps declares the kinds of the API group apps (v1): Deployment,
// ReplicaSet, DaemonSet, StatefulSet and ControllerRevision.
//
// # Model
//
// Every kind is one row (see Resources), written in <kind>.go with its defaults
// and its life cycle; its rules are in <kind>_validation.go where they are many, and
// all table columns in columns.go. Pod templates are core's business; what all workloads of
// this group ask of a template beyond that is in template.go.
package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// AddToScheme registers the kinds of the group apps and their defaults.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, appsv1.SchemeGroupVersion, appsv1.AddToScheme); err != nil {
		return err
	}
	defaulting.Kind(s, SetDefaultsDeployment, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items })
	defaulting.Kind(s, SetDefaultsReplicaSet, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
	defaulting.Kind(s, SetDefaultsDaemonSet, func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items })
	defaulting.Kind(s, SetDefaultsStatefulSet, func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items })
	return nil
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

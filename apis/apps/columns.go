package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
)

func deploymentColumns() []resource.TypedColumn[appsv1.Deployment] {
	spec, status := appsv1.DeploymentSpec{}.SwaggerDoc(), appsv1.DeploymentStatus{}.SwaggerDoc()
	cols := []resource.TypedColumn[appsv1.Deployment]{
		columns.Name[appsv1.Deployment](),
		columns.Text("Ready", "Number of the pod with ready state", func(d *appsv1.Deployment) string {
			return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, columns.Deref(d.Spec.Replicas))
		}),
		columns.Number("Up-to-date", status["updatedReplicas"], func(d *appsv1.Deployment) int32 { return d.Status.UpdatedReplicas }),
		columns.Number("Available", status["availableReplicas"], func(d *appsv1.Deployment) int32 { return d.Status.AvailableReplicas }),
		columns.Age[appsv1.Deployment](),
	}
	cols = append(cols, columns.Containers(func(d *appsv1.Deployment) *corev1.PodTemplateSpec { return &d.Spec.Template })...)
	return append(cols, columns.Wide(columns.Text("Selector", spec["selector"], func(d *appsv1.Deployment) string {
		return columns.Selector(d.Spec.Selector)
	})))
}

func replicaSetColumns() []resource.TypedColumn[appsv1.ReplicaSet] {
	spec, status := appsv1.ReplicaSetSpec{}.SwaggerDoc(), appsv1.ReplicaSetStatus{}.SwaggerDoc()
	cols := []resource.TypedColumn[appsv1.ReplicaSet]{
		columns.Name[appsv1.ReplicaSet](),
		columns.Number("Desired", spec["replicas"], func(rs *appsv1.ReplicaSet) int32 { return columns.Deref(rs.Spec.Replicas) }),
		columns.Number("Current", status["replicas"], func(rs *appsv1.ReplicaSet) int32 { return rs.Status.Replicas }),
		columns.Number("Ready", status["readyReplicas"], func(rs *appsv1.ReplicaSet) int32 { return rs.Status.ReadyReplicas }),
		columns.Age[appsv1.ReplicaSet](),
	}
	cols = append(cols, columns.Containers(func(rs *appsv1.ReplicaSet) *corev1.PodTemplateSpec { return &rs.Spec.Template })...)
	return append(cols, columns.Wide(columns.Text("Selector", spec["selector"], func(rs *appsv1.ReplicaSet) string {
		return columns.Selector(rs.Spec.Selector)
	})))
}

func daemonSetColumns() []resource.TypedColumn[appsv1.DaemonSet] {
	spec, status := appsv1.DaemonSetSpec{}.SwaggerDoc(), appsv1.DaemonSetStatus{}.SwaggerDoc()
	cols := []resource.TypedColumn[appsv1.DaemonSet]{
		columns.Name[appsv1.DaemonSet](),
		columns.Number("Desired", status["desiredNumberScheduled"], func(ds *appsv1.DaemonSet) int32 { return ds.Status.DesiredNumberScheduled }),
		columns.Number("Current", status["currentNumberScheduled"], func(ds *appsv1.DaemonSet) int32 { return ds.Status.CurrentNumberScheduled }),
		columns.Number("Ready", status["numberReady"], func(ds *appsv1.DaemonSet) int32 { return ds.Status.NumberReady }),
		columns.Number("Up-to-date", status["updatedNumberScheduled"], func(ds *appsv1.DaemonSet) int32 { return ds.Status.UpdatedNumberScheduled }),
		columns.Number("Available", status["numberAvailable"], func(ds *appsv1.DaemonSet) int32 { return ds.Status.NumberAvailable }),
		columns.Text("Node Selector", corev1.PodSpec{}.SwaggerDoc()["nodeSelector"], func(ds *appsv1.DaemonSet) string {
			return labels.FormatLabels(ds.Spec.Template.Spec.NodeSelector)
		}),
		columns.Age[appsv1.DaemonSet](),
	}
	cols = append(cols, columns.Containers(func(ds *appsv1.DaemonSet) *corev1.PodTemplateSpec { return &ds.Spec.Template })...)
	return append(cols, columns.Wide(columns.Text("Selector", spec["selector"], func(ds *appsv1.DaemonSet) string {
		return columns.Selector(ds.Spec.Selector)
	})))
}

func statefulSetColumns() []resource.TypedColumn[appsv1.StatefulSet] {
	cols := []resource.TypedColumn[appsv1.StatefulSet]{
		columns.Name[appsv1.StatefulSet](),
		columns.Text("Ready", "Number of the pod with ready state", func(s *appsv1.StatefulSet) string {
			return fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, columns.Deref(s.Spec.Replicas))
		}),
		columns.Age[appsv1.StatefulSet](),
	}
	return append(cols, columns.Containers(func(s *appsv1.StatefulSet) *corev1.PodTemplateSpec { return &s.Spec.Template })...)
}

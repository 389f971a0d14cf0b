package core

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func podColumns() []resource.TypedColumn[corev1.Pod] {
	spec, status := corev1.PodSpec{}.SwaggerDoc(), corev1.PodStatus{}.SwaggerDoc()
	return []resource.TypedColumn[corev1.Pod]{
		columns.Name[corev1.Pod](),
		columns.Text("Ready", "The aggregate readiness state of this pod for accepting traffic.", func(p *corev1.Pod) string {
			return podReady(p)
		}),
		columns.Text("Status", "The aggregate status of the containers in this pod.", func(p *corev1.Pod) string {
			return podhelper.Summarize(p).Reason
		}),
		columns.Text("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
			func(p *corev1.Pod) string { return podRestarts(p) }),
		columns.Age[corev1.Pod](),
		columns.Wide(columns.Text("IP", status["podIP"], func(p *corev1.Pod) string {
			if len(p.Status.PodIPs) > 0 {
				return columns.OrNone(p.Status.PodIPs[0].IP)
			}
			return columns.OrNone(p.Status.PodIP)
		})),
		columns.Wide(columns.Text("Node", spec["nodeName"], func(p *corev1.Pod) string { return columns.OrNone(p.Spec.NodeName) })),
		columns.Wide(columns.Text("Nominated Node", status["nominatedNodeName"], func(p *corev1.Pod) string { return columns.OrNone(p.Status.NominatedNodeName) })),
		columns.Wide(columns.Text("Readiness Gates", spec["readinessGates"], func(p *corev1.Pod) string { return readinessGates(p) })),
	}
}

func podReady(p *corev1.Pod) string {
	summary := podhelper.Summarize(p)
	return fmt.Sprintf("%d/%d", summary.Ready, summary.Total)
}

func podRestarts(p *corev1.Pod) string {
	summary := podhelper.Summarize(p)
	if summary.Restarts == 0 || summary.LastRestart.IsZero() {
		return fmt.Sprint(summary.Restarts)
	}
	return fmt.Sprintf("%d (%s ago)", summary.Restarts, duration.HumanDuration(time.Since(summary.LastRestart)))
}

// readinessGates returns how many of the pod's own readiness gates are true.
func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return columns.None
	}
	passed := 0
	for _, gate := range p.Spec.ReadinessGates {
		if podhelper.IsConditionTrue(&p.Status, gate.ConditionType) {
			passed++
		}
	}
	return fmt.Sprintf("%d/%d", passed, len(p.Spec.ReadinessGates))
}

// podRowConditions marks the row of a pod that has ended, so that clients can
// leave it out.
func podRowConditions(p *corev1.Pod) []metav1.TableRowCondition {
	completed := metav1.TableRowCondition{Type: metav1.RowCompleted, Status: metav1.ConditionTrue}
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		completed.Reason, completed.Message = string(corev1.PodSucceeded), "The pod has completed successfully."
	case corev1.PodFailed:
		completed.Reason, completed.Message = string(corev1.PodFailed), "The pod failed."
	default:
		return nil
	}
	return []metav1.TableRowCondition{completed}
}

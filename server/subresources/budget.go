package subresources

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
)

// maxDisruptedPods bounds status.disruptedPods, which somebody has to clean up.
const maxDisruptedPods = 2000

// budgets decides about evictions by the PodDisruptionBudgets of the namespace.
type budgets struct{ client kubernetes.Interface }

// NewBudgets returns the DisruptionBudget that reads PodDisruptionBudgets through
// client.
func NewBudgets(client kubernetes.Interface) DisruptionBudget { return budgets{client} }

// Allow implements DisruptionBudget: it uses up one disruption of the budget that
// covers the pod.
func (b budgets) Allow(ctx context.Context, pod *corev1.Pod, dryRun bool) error {
	matching, err := b.matching(ctx, pod)
	if err != nil || len(matching) == 0 {
		return err
	}
	if len(matching) > 1 {
		return apierrors.NewInternalError(fmt.Errorf("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."))
	}
	pdb := &matching[0]
	if unhealthyMayGo(pod, pdb) {
		return nil
	}
	refresh := false
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if refresh {
			if pdb, err = b.client.PolicyV1().PodDisruptionBudgets(pod.Namespace).Get(ctx, pdb.Name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		refresh = true
		return b.use(ctx, pod, pdb, dryRun)
	})
}

func (b budgets) matching(ctx context.Context, pod *corev1.Pod) ([]policyv1.PodDisruptionBudget, error) {
	// A read that may be old could refuse what has just been allowed.
	list, err := b.client.PolicyV1().PodDisruptionBudgets(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing disruption budgets: %w", err)
	}
	var matching []policyv1.PodDisruptionBudget
	for _, pdb := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			matching = append(matching, pdb)
		}
	}
	return matching, nil
}

// unhealthyMayGo reports that the pod is not ready and the budget does not need
// it: it has enough healthy ones, or always lets unhealthy ones go (KEP-3017).
func unhealthyMayGo(pod *corev1.Pod, pdb *policyv1.PodDisruptionBudget) bool {
	if podhelper.IsReady(pod) {
		return false
	}
	if policy := pdb.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return pdb.Status.CurrentHealthy >= pdb.Status.DesiredHealthy && pdb.Status.DesiredHealthy > 0
}

func (b budgets) use(ctx context.Context, pod *corev1.Pod, pdb *policyv1.PodDisruptionBudget, dryRun bool) error {
	status := &pdb.Status
	switch {
	case status.ObservedGeneration < pdb.Generation:
		return tooMany(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", pdb.Name))
	case status.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), pdb.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(status.DisruptedPods) > maxDisruptedPods:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), pdb.Name,
			fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case status.DisruptionsAllowed == 0:
		return tooMany(0, fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently",
			pdb.Name, status.DesiredHealthy, status.CurrentHealthy))
	}
	if dryRun {
		return nil
	}
	changed := pdb.DeepCopy()
	changed.Status.DisruptionsAllowed--
	if changed.Status.DisruptedPods == nil {
		changed.Status.DisruptedPods = map[string]metav1.Time{}
	}
	// The controller does not count the pod as healthy while it is listed here,
	// until it sees the deletion.
	changed.Status.DisruptedPods[pod.Name] = metav1.NewTime(time.Now())
	_, err := b.client.PolicyV1().PodDisruptionBudgets(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	return err
}

func tooMany(retryAfter int, cause string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfter)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: policyv1.DisruptionBudgetCause, Message: cause,
	})
	return err
}

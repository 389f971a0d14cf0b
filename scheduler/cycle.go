package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/framework"
	"github.com/skiff-project/skiff/scheduler/queue"
)

// scheduleOne works on one pod up to its binding, which goes on in the background.
func (s *Scheduler) scheduleOne(ctx context.Context, waiting *queue.Pod) {
	// The queue does not take in updates of a pod that it has handed out.
	pod := s.latest(waiting.Pod)
	if pod == nil {
		s.queue.Done(waiting)
		return
	}
	state := framework.NewCycleState()
	node, err := s.place(ctx, state, pod)
	if err != nil {
		s.failed(ctx, waiting, err)
		return
	}
	assumed := pod.DeepCopy()
	assumed.Spec.NodeName = node
	if err := s.cache.Assume(assumed, node); err != nil {
		s.failed(ctx, waiting, err)
		return
	}
	if status := s.profile.Reserve(ctx, state, assumed, node); !status.IsSuccess() {
		s.cache.Forget(assumed)
		s.failed(ctx, waiting, status.AsError())
		return
	}
	s.binding.Go(func() { s.bind(ctx, state, waiting, assumed, node) })
}

// latest returns the newest known state of the pod, or nil if it needs no
// scheduling any more: it is going, or it is already placed.
func (s *Scheduler) latest(pod *corev1.Pod) *corev1.Pod {
	latest, err := s.pods.Pods(pod.Namespace).Get(pod.Name)
	if err != nil || latest.UID != pod.UID {
		return nil
	}
	if latest.DeletionTimestamp != nil || latest.Spec.NodeName != "" || s.cache.Holds(pod.UID) {
		return nil
	}
	return latest
}

// place returns the name of the best node, or a *framework.FitError.
func (s *Scheduler) place(ctx context.Context, state fwk.CycleState, pod *corev1.Pod) (string, error) {
	nodes, err := s.profile.Filter(ctx, state, pod, s.cache.Snapshot())
	if err != nil {
		return "", err
	}
	if len(nodes) == 1 {
		return nodes[0].Node().Name, nil
	}
	scores, err := s.profile.Score(ctx, state, pod, nodes)
	if err != nil {
		return "", err
	}
	return nodes[best(scores)].Node().Name, nil
}

// best returns the index of the highest score; among equals, each is as likely.
func best(scores []int64) int {
	winner, equals := 0, 1
	for i := 1; i < len(scores); i++ {
		switch {
		case scores[i] > scores[winner]:
			winner, equals = i, 1
		case scores[i] == scores[winner]:
			equals++
			if rand.IntN(equals) == 0 {
				winner = i
			}
		}
	}
	return winner
}

func (s *Scheduler) bind(ctx context.Context, state fwk.CycleState, waiting *queue.Pod, pod *corev1.Pod, node string) {
	if err := s.profile.Bind(ctx, state, pod, node); err != nil {
		s.profile.Unreserve(ctx, state, pod, node)
		s.cache.Forget(pod)
		// The room that was taken is free again; others may have waited for it.
		s.queue.Notify(ctx, fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}, pod, nil)
		s.failed(ctx, waiting, err)
		return
	}
	s.queue.Done(waiting)
	s.recorder.WithLogger(klog.FromContext(ctx)).Eventf(pod, nil, corev1.EventTypeNormal, "Scheduled", "Binding",
		"Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node)
}

// failed gives the pod back to the queue and tells the user why.
func (s *Scheduler) failed(ctx context.Context, waiting *queue.Pod, cause error) {
	logger := klog.FromContext(ctx)
	latest := s.latest(waiting.Pod)
	if latest == nil || ctx.Err() != nil {
		s.queue.Done(waiting) // gone, or placed by somebody else
		return
	}
	reason := corev1.PodReasonUnschedulable
	var fit *framework.FitError
	if errors.As(cause, &fit) {
		s.queue.Reject(ctx, waiting, latest, fit.Plugins())
	} else {
		reason = corev1.PodReasonSchedulerError
		logger.Error(cause, "Scheduling a pod; will be tried again", "pod", klog.KObj(latest))
		s.queue.Retry(ctx, waiting, latest)
	}
	s.recorder.WithLogger(logger).Eventf(latest, nil, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", "%s", cause.Error())
	if err := s.setUnscheduled(ctx, latest, reason, cause.Error()); err != nil && !apierrors.IsNotFound(err) {
		logger.Error(fmt.Errorf("updating the PodScheduled condition: %w", err), "Telling why a pod is not scheduled", "pod", klog.KObj(latest))
	}
}

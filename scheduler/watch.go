package scheduler

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// livePods leaves out pods that have ended: they hold no resources and need no node.
const livePods = "status.phase!=Succeeded,status.phase!=Failed"

// watch starts the informers and returns once the cache and the queue know all
// that existed. stop ends the informers and waits for them.
func (s *Scheduler) watch(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	strip := informers.WithTransform(dropManagedFields)
	nodes := informers.NewSharedInformerFactoryWithOptions(s.client, 0, strip)
	pods := informers.NewSharedInformerFactoryWithOptions(s.client, 0, strip,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = livePods }))
	stop = func() {
		cancel()
		nodes.Shutdown()
		pods.Shutdown()
	}
	nodeHandler, err := nodes.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.nodeChanged(ctx, nil, obj.(*corev1.Node)) },
		UpdateFunc: func(oldObj, obj any) { s.nodeChanged(ctx, oldObj.(*corev1.Node), obj.(*corev1.Node)) },
		DeleteFunc: func(obj any) { s.nodeChanged(ctx, last[*corev1.Node](obj), nil) },
	})
	if err != nil {
		stop()
		return nil, fmt.Errorf("watching nodes: %w", err)
	}
	podHandler, err := pods.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.podChanged(ctx, nil, obj.(*corev1.Pod)) },
		UpdateFunc: func(oldObj, obj any) { s.podChanged(ctx, oldObj.(*corev1.Pod), obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) { s.podChanged(ctx, last[*corev1.Pod](obj), nil) },
	})
	if err != nil {
		stop()
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	s.pods = pods.Core().V1().Pods().Lister()
	nodes.StartWithContext(ctx)
	pods.StartWithContext(ctx)
	cache.WaitForCacheSync(ctx.Done(), nodeHandler.HasSynced, podHandler.HasSynced)
	return stop, nil
}

// dropManagedFields saves the memory of what no plugin reads.
func dropManagedFields(obj any) (any, error) {
	if object, err := meta.Accessor(obj); err == nil {
		object.SetManagedFields(nil)
	}
	return obj, nil
}

// last returns the deleted object, also if the watch missed the deletion itself.
func last[T any](obj any) T {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	typed, _ := obj.(T)
	return typed
}

// nodeChanged takes in a node's event; old or current is nil if there is none.
func (s *Scheduler) nodeChanged(ctx context.Context, old, current *corev1.Node) {
	if current == nil {
		if old != nil {
			s.cache.DeleteNode(old.Name)
		}
		return
	}
	s.cache.SetNode(current)
	for _, change := range nodeChanges(old, current) {
		if old == nil {
			s.queue.Notify(ctx, change, nil, current)
		} else {
			s.queue.Notify(ctx, change, old, current)
		}
	}
}

// podChanged takes in a pod's event; old or current is nil if there is none.
func (s *Scheduler) podChanged(ctx context.Context, old, current *corev1.Pod) {
	if old != nil && current != nil && old.UID != current.UID {
		// The watch missed that one pod went and another of its name came.
		s.podGone(ctx, old)
		old = nil
	}
	switch {
	case current == nil:
		if old != nil {
			s.podGone(ctx, old)
		}
	case current.Spec.NodeName != "":
		s.podOnNode(ctx, old, current)
	case current.Spec.SchedulerName != s.cfg.SchedulerName:
	case current.DeletionTimestamp != nil:
		s.queue.Delete(current.UID)
	case old == nil:
		s.queue.Add(ctx, current)
	case !s.cache.Holds(current.UID): // else it is being bound
		s.queue.Update(ctx, old, current, podChanges(old, current, fwk.TargetPod))
	}
}

func (s *Scheduler) podOnNode(ctx context.Context, old, current *corev1.Pod) {
	s.queue.Delete(current.UID)
	if err := s.cache.SetPod(current); err != nil {
		klog.FromContext(ctx).Error(err, "Counting a pod on its node", "pod", klog.KObj(current), "node", current.Spec.NodeName)
	}
	if old == nil || old.Spec.NodeName == "" {
		s.queue.Notify(ctx, fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Add}, nil, current)
		return
	}
	for _, change := range podChanges(old, current, fwk.AssignedPod) {
		s.queue.Notify(ctx, change, old, current)
	}
}

func (s *Scheduler) podGone(ctx context.Context, pod *corev1.Pod) {
	s.queue.Delete(pod.UID)
	if pod.Spec.NodeName == "" && !s.cache.Holds(pod.UID) {
		return
	}
	s.cache.DeletePod(pod.UID)
	s.queue.Notify(ctx, fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}, pod, nil)
}

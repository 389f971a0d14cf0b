package proxy

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// labelServiceProxyName hands a Service to another proxy (KEP-2447).
const labelServiceProxyName = "service.kubernetes.io/service-proxy-name"

// taintDeletion is set by the cluster autoscaler on nodes that it will remove.
const taintDeletion = "ToBeDeletedByClusterAutoscaler"

// watch starts the informers and returns when all objects are known. Stop waits
// for their goroutines.
func (p *Proxy) watch(ctx context.Context) (stop func(), err error) {
	mine := func(o *metav1.ListOptions) {
		o.LabelSelector = "!" + labelServiceProxyName + ",!" + corev1.IsHeadlessService
	}
	objects := informers.NewSharedInformerFactoryWithOptions(p.client, 0,
		informers.WithTweakListOptions(mine), informers.WithTransform(trim))
	ownNode := informers.NewSharedInformerFactoryWithOptions(p.client, 0, informers.WithTransform(trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, p.config.NodeName).String()
		}))
	stop = func() { objects.Shutdown(); ownNode.Shutdown() }

	onSlice := handler(p.setSlice, p.deleteSlice)
	onSlice.UpdateFunc = func(old, obj any) { p.replaceSlice(old, obj) }
	var synced []cache.InformerSynced
	for _, w := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{objects.Core().V1().Services().Informer(), handler(p.setService, p.deleteService)},
		{objects.Discovery().V1().EndpointSlices().Informer(), onSlice},
		{ownNode.Core().V1().Nodes().Informer(), handler(p.setNode, p.deleteNode)},
	} {
		registration, err := w.informer.AddEventHandler(w.handler)
		if err != nil {
			return stop, fmt.Errorf("watching: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	objects.Start(ctx.Done())
	ownNode.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		// Not the cause: why the proxy shall stop is no failure of its own.
		return stop, fmt.Errorf("waiting for Services and EndpointSlices: %w", ctx.Err())
	}
	return stop, nil
}

// trim drops what the proxy never reads, to keep the cache small.
func trim(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	if node, ok := obj.(*corev1.Node); ok {
		node.Status = corev1.NodeStatus{}
	}
	return obj, nil
}

// handler calls set and remove with typed objects.
func handler[T any](set, remove func(T)) cache.ResourceEventHandlerFuncs {
	typed := func(obj any, do func(T)) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(T); ok {
			do(o)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { typed(obj, set) },
		UpdateFunc: func(_, obj any) { typed(obj, set) },
		DeleteFunc: func(obj any) { typed(obj, remove) },
	}
}

func (p *Proxy) setService(svc *corev1.Service) {
	p.each(func(f *family) bool { return f.tracker.SetService(svc) })
}

func (p *Proxy) deleteService(svc *corev1.Service) {
	key := types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
	p.each(func(f *family) bool { return f.tracker.DeleteService(key) })
}

func (p *Proxy) setSlice(slice *discoveryv1.EndpointSlice) {
	p.each(func(f *family) bool { return f.tracker.SetSlice(slice) })
}

// replaceSlice takes a slice away from the Service that its label named before.
func (p *Proxy) replaceSlice(before, after any) {
	old, ok := before.(*discoveryv1.EndpointSlice)
	fresh, okFresh := after.(*discoveryv1.EndpointSlice)
	if !ok || !okFresh {
		return
	}
	if old.Labels[discoveryv1.LabelServiceName] != fresh.Labels[discoveryv1.LabelServiceName] {
		p.deleteSlice(old)
	}
	p.setSlice(fresh)
}

func (p *Proxy) deleteSlice(slice *discoveryv1.EndpointSlice) {
	p.each(func(f *family) bool { return f.tracker.DeleteSlice(slice) })
}

func (p *Proxy) setNode(node *corev1.Node) {
	p.health.SetNodeEligible(nodeEligible(node))
	p.each(func(f *family) bool { return f.tracker.SetZone(node.Labels[corev1.LabelTopologyZone]) })
}

func (p *Proxy) deleteNode(*corev1.Node) { p.health.SetNodeEligible(false) }

// nodeEligible reports whether load balancers should open connections to the node.
func nodeEligible(node *corev1.Node) bool {
	if node.DeletionTimestamp != nil {
		return false
	}
	for _, t := range node.Spec.Taints {
		if t.Key == taintDeletion {
			return false
		}
	}
	return true
}

// each applies a change to every family and wakes the loop if one is different.
func (p *Proxy) each(change func(*family) bool) {
	different := false
	for _, f := range p.families {
		different = change(f) || different
	}
	if different {
		p.changed()
	}
}

package nodeagent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/pods"
)

// listers watch this node's pods, and the Services, whose variables containers get.
type listers struct {
	podFactory, serviceFactory informers.SharedInformerFactory
	pods                       cache.SharedIndexInformer
	services                   corev1listers.ServiceLister
}

func (a *Agent) newListers() *listers {
	own := fields.OneTermEqualSelector("spec.nodeName", a.config.NodeName).String()
	podFactory := informers.NewSharedInformerFactoryWithOptions(a.client, 0, informers.WithTransform(lean),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = own }))
	serviceFactory := informers.NewSharedInformerFactoryWithOptions(a.client, 0, informers.WithTransform(lean))
	l := &listers{
		podFactory: podFactory, serviceFactory: serviceFactory,
		pods: podFactory.Core().V1().Pods().Informer(), services: serviceFactory.Core().V1().Services().Lister(),
	}
	serviceFactory.Core().V1().Services().Informer()
	return l
}

// lean drops what no one here reads and what is much.
func lean(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

func (l *listers) start(ctx context.Context) {
	l.podFactory.Start(ctx.Done())
	l.serviceFactory.Start(ctx.Done())
}

// wait returns true once all is listed, false if ctx ends before.
func (l *listers) wait(ctx context.Context) bool {
	for _, factory := range []informers.SharedInformerFactory{l.podFactory, l.serviceFactory} {
		for _, synced := range factory.WaitForCacheSync(ctx.Done()) {
			if !synced {
				return false
			}
		}
	}
	return true
}

// feed tells the manager of all pods, and from then on of their changes.
func (l *listers) feed(ctx context.Context, manager *pods.Manager) error {
	registration, err := l.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { manager.SetPod(object.(*corev1.Pod)) },
		UpdateFunc: func(before, after any) {
			old, pod := before.(*corev1.Pod), after.(*corev1.Pod)
			if old.UID != pod.UID { // one of the same name that came after
				manager.RemovePod(old.UID)
			}
			manager.SetPod(pod)
		},
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if pod, ok := object.(*corev1.Pod); ok {
				manager.RemovePod(pod.UID)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching this node's pods: %w", err)
	}
	// Pods that the manager does not know when it starts are gone for it.
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return ctx.Err()
	}
	return nil
}

// Services of the pod's namespace and of the API server.
func (l *listers) servicesFor(namespace string) []*corev1.Service {
	found, err := l.services.Services(namespace).List(labels.Everything())
	if err != nil { // a cache has no errors
		klog.Background().Error(err, "Listing Services")
	}
	if namespace != metav1.NamespaceDefault {
		if api, err := l.services.Services(metav1.NamespaceDefault).Get("kubernetes"); err == nil {
			found = append(found, api)
		}
	}
	return found
}

// Package nodeipam gives every node a range of pod addresses (spec.podCIDRs),
// one subnet of each cluster CIDR.
//
// # Model
//
// The nodes are the only record of what is taken: the allocators are rebuilt
// from them at the start, before the first subnet is handed out, and follow
// their events. A node keeps what it has; podCIDRs cannot be changed.
package nodeipam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Deps are the things that a Reconciler works with.
type Deps struct {
	Client client.Client
	Events record.EventRecorder
	// ClusterCIDRs are the ranges, at most one per address family, MaskSizes the
	// subnet size of each.
	ClusterCIDRs []netip.Prefix
	MaskSizes    []int
	// Reserved ranges (Services) are never given to nodes.
	Reserved []netip.Prefix
}

// Reconciler assigns podCIDRs.
type Reconciler struct {
	Deps

	mu         sync.Mutex // guards what follows
	allocators []*Allocator
	primed     bool
	assigned   map[types.UID][]netip.Prefix
}

// New returns the controller, or an error if the ranges make no sense.
func New(deps Deps) (*Reconciler, error) {
	if len(deps.ClusterCIDRs) == 0 || len(deps.ClusterCIDRs) != len(deps.MaskSizes) {
		return nil, errors.New("node IPAM needs at least one cluster CIDR and a mask size for each")
	}
	r := &Reconciler{Deps: deps, assigned: make(map[types.UID][]netip.Prefix)}
	for i, cidr := range deps.ClusterCIDRs {
		a, err := NewAllocator(cidr, deps.MaskSizes[i])
		if err != nil {
			return nil, err
		}
		for _, reserved := range deps.Reserved {
			a.Occupy(reserved)
		}
		r.allocators = append(r.allocators, a)
	}
	return r, nil
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "node-ipam-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		Watches(&corev1.Node{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q podcontrol.Queue) { enqueue(e.Object, q) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q podcontrol.Queue) {
				if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() { // the watch missed a deletion
					r.release(e.ObjectOld.GetUID())
					enqueue(e.ObjectNew, q)
					return
				}
				node, ok := e.ObjectNew.(*corev1.Node)
				if ok && len(node.Spec.PodCIDRs) == 0 {
					enqueue(node, q)
				}
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ podcontrol.Queue) { r.release(e.Object.GetUID()) },
		}).
		// One worker: the allocators are shared, and the API is quick.
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
}

func enqueue(obj client.Object, q podcontrol.Queue) {
	q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
}

// Reconcile assigns podCIDRs to one node if it has none.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := r.prime(ctx); err != nil {
		return ctrl.Result{}, err
	}
	var node corev1.Node
	if err := r.Client.Get(ctx, req.NamespacedName, &node); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if len(node.Spec.PodCIDRs) > 0 {
		r.occupy(&node)
		return ctrl.Result{}, nil
	}
	if node.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	cidrs, err := r.allocate(node.UID)
	if err != nil {
		r.Events.Eventf(&node, corev1.EventTypeNormal, "CIDRNotAvailable", "Node %s status is now: %s", node.Name, "CIDRNotAvailable")
		return ctrl.Result{}, fmt.Errorf("allocating a pod CIDR: %w", err)
	}
	patch, err := Patch(node.UID, cidrs)
	if err != nil {
		return ctrl.Result{}, err
	}
	err = r.Client.Patch(ctx, node.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
	switch {
	case err == nil:
		return ctrl.Result{}, nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		r.release(node.UID)
		return ctrl.Result{}, nil
	case apierrors.IsServerTimeout(err), apierrors.IsTimeout(err):
		// It may have been written; the retry asks for the same CIDR.
		return ctrl.Result{}, fmt.Errorf("assigning pod CIDR: %w", err)
	default:
		r.release(node.UID)
		return ctrl.Result{}, fmt.Errorf("assigning pod CIDR: %w", err)
	}
}

// Patch returns the strategic merge patch that sets spec.podCIDR and podCIDRs of
// the node with that UID.
func Patch(uid types.UID, cidrs []netip.Prefix) ([]byte, error) {
	names := make([]string, len(cidrs))
	for i, cidr := range cidrs {
		names[i] = cidr.String()
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": uid},
		"spec":     map[string]any{"podCIDR": names[0], "podCIDRs": names},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding pod CIDRs: %w", err)
	}
	return patch, nil
}

// prime marks what the existing nodes have, once, before anything is handed out.
func (r *Reconciler) prime(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.primed {
		return nil
	}
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		r.occupyLocked(&nodes.Items[i])
	}
	r.primed = true
	return nil
}

func (r *Reconciler) occupy(node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.occupyLocked(node)
}

func (r *Reconciler) occupyLocked(node *corev1.Node) {
	var cidrs []netip.Prefix
	for _, text := range node.Spec.PodCIDRs {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			continue // validation refuses it; nothing of ours can be meant
		}
		cidrs = append(cidrs, cidr)
		for _, a := range r.allocators {
			a.Occupy(cidr)
		}
	}
	if len(cidrs) > 0 {
		r.assigned[node.UID] = cidrs
	}
}

// allocate takes one subnet of each cluster CIDR for a node, or the ones that it
// was promised before.
func (r *Reconciler) allocate(uid types.UID) ([]netip.Prefix, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cidrs := r.assigned[uid]; len(cidrs) > 0 {
		return cidrs, nil
	}
	var cidrs []netip.Prefix
	for i, a := range r.allocators {
		cidr, err := a.Allocate()
		if err != nil {
			for j, taken := range cidrs {
				r.allocators[j].Release(taken)
			}
			return nil, fmt.Errorf("cluster CIDR %s: %w", r.ClusterCIDRs[i], err)
		}
		cidrs = append(cidrs, cidr)
	}
	r.assigned[uid] = cidrs
	return cidrs, nil
}

func (r *Reconciler) release(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cidr := range r.assigned[uid] {
		for i, a := range r.allocators {
			a.Release(cidr)
			for _, reserved := range r.Reserved {
				if reserved.Overlaps(r.ClusterCIDRs[i]) {
					a.Occupy(reserved)
				}
			}
		}
	}
	delete(r.assigned, uid)
}

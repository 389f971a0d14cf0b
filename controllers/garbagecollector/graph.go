package garbagecollector

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// identity says which object is meant and where it is.
type identity struct {
	APIVersion, Kind, Namespace, Name string
	UID                               types.UID
}

// object is what the graph reads of an API object.
type object struct {
	identity
	owners     []metav1.OwnerReference
	deleting   bool // has a deletionTimestamp
	foreground bool // has finalizer foregroundDeletion
	orphan     bool // has finalizer orphan
}

type node struct {
	object
	virtual    bool // known from references only
	dependents map[types.UID]*node
}

// waiting reports a foreground deletion: the node goes when its dependents are
// gone.
func (n *node) waiting() bool { return n.deleting && n.foreground }

func (n *node) orphaning() bool { return n.deleting && n.orphan }

// work is what has to be looked at after an event.
type work struct {
	check  []types.UID
	orphan []types.UID
	// misplaced are references that name an owner which lives elsewhere.
	misplaced []misplaced
}

type misplaced struct {
	dependent identity
	ref       metav1.OwnerReference
}

// graph holds owners and dependents by UID. It is safe for concurrent use.
type graph struct {
	mu    sync.Mutex
	nodes map[types.UID]*node
}

func newGraph() *graph { return &graph{nodes: make(map[types.UID]*node)} }

// observe takes in an object that exists, new or changed.
func (g *graph) observe(o object) work {
	g.mu.Lock()
	defer g.mu.Unlock()
	var w work
	n := g.nodes[o.UID]
	if n == nil {
		n = &node{dependents: make(map[types.UID]*node), virtual: true}
		g.nodes[o.UID] = n
	}
	wasWaiting, wasOrphaning := n.waiting(), n.orphaning()
	if n.virtual {
		// Dependents that named it by other coordinates must look again.
		for uid, dependent := range n.dependents {
			if !sameCoordinates(dependent, o.identity) {
				w.check = append(w.check, uid)
			}
		}
	}
	previous := n.owners
	n.object, n.virtual = o, false
	g.relink(n, previous, &w)

	if n.orphaning() && !wasOrphaning {
		w.orphan = append(w.orphan, o.UID)
	}
	if n.waiting() && !wasWaiting {
		for uid := range n.dependents {
			w.check = append(w.check, uid)
		}
		w.check = append(w.check, o.UID)
	}
	return w
}

// relink updates the edges of a node whose owners were others before.
func (g *graph) relink(n *node, previous []metav1.OwnerReference, w *work) {
	for _, ref := range previous {
		now := find(n.owners, ref.UID)
		if now != nil && ptr.Deref(now.BlockOwnerDeletion, false) == ptr.Deref(ref.BlockOwnerDeletion, false) {
			continue
		}
		owner := g.nodes[ref.UID]
		if owner == nil {
			continue
		}
		if now == nil {
			g.unlink(owner, n.UID)
		}
		if owner.waiting() {
			w.check = append(w.check, owner.UID) // one less may block it
		}
	}
	for _, ref := range n.owners {
		if find(previous, ref.UID) != nil {
			continue
		}
		owner := g.nodes[ref.UID]
		if owner == nil {
			owner = &node{virtual: true, dependents: make(map[types.UID]*node), object: object{identity: identityOf(ref, n.Namespace)}}
			g.nodes[ref.UID] = owner
			w.check = append(w.check, ref.UID)
		}
		owner.dependents[n.UID] = n
		if !owner.virtual && !refersTo(ref, n.Namespace, owner.identity) {
			w.check = append(w.check, n.UID)
			if owner.Namespace != "" && owner.Namespace != n.Namespace {
				w.misplaced = append(w.misplaced, misplaced{n.identity, ref})
			}
		}
		if owner.waiting() {
			w.check = append(w.check, n.UID) // it came too late to be told
		}
	}
}

// unlink removes an edge, and the owner with its last edge if it is virtual.
func (g *graph) unlink(owner *node, dependent types.UID) {
	delete(owner.dependents, dependent)
	if owner.virtual && len(owner.dependents) == 0 {
		delete(g.nodes, owner.UID)
	}
}

// remove takes in that an object is gone. absent reports that something depended
// on it.
func (g *graph) remove(uid types.UID) (w work, absent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return w, false
	}
	delete(g.nodes, uid)
	for _, ref := range n.owners {
		owner := g.nodes[ref.UID]
		if owner == nil {
			continue
		}
		g.unlink(owner, uid)
		if owner.waiting() {
			w.check = append(w.check, owner.UID)
		}
	}
	for dependent := range n.dependents {
		w.check = append(w.check, dependent)
	}
	return w, len(n.dependents) > 0
}

// view is a copy of what the graph knows about a node.
type view struct {
	object
	virtual    bool
	dependents []dependent
}

// dependent is an edge as seen from the owner.
type dependent struct {
	identity
	blocks  bool // blockOwnerDeletion
	waiting bool // is itself being deleted in the foreground
}

// get returns what is known about an object.
func (g *graph) get(uid types.UID) (view, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return view{}, false
	}
	v := view{object: n.object, virtual: n.virtual}
	for _, d := range n.dependents {
		ref := find(d.owners, uid)
		v.dependents = append(v.dependents, dependent{
			identity: d.identity,
			blocks:   ref != nil && ptr.Deref(ref.BlockOwnerDeletion, false),
			waiting:  d.waiting(),
		})
	}
	return v, true
}

func find(refs []metav1.OwnerReference, uid types.UID) *metav1.OwnerReference {
	i := slices.IndexFunc(refs, func(ref metav1.OwnerReference) bool { return ref.UID == uid })
	if i < 0 {
		return nil
	}
	return &refs[i]
}

// identityOf returns the object that a reference in a namespace means.
func identityOf(ref metav1.OwnerReference, namespace string) identity {
	return identity{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: namespace, Name: ref.Name, UID: ref.UID}
}

// refersTo reports that a reference names the owner where it is. The versions of
// a group are views of the same objects.
func refersTo(ref metav1.OwnerReference, namespace string, owner identity) bool {
	return ref.Kind == owner.Kind && ref.Name == owner.Name && group(ref.APIVersion) == group(owner.APIVersion) &&
		(owner.Namespace == "" || owner.Namespace == namespace)
}

func sameCoordinates(d *node, owner identity) bool {
	ref := find(d.owners, owner.UID)
	return ref == nil || refersTo(*ref, d.Namespace, owner)
}

func group(apiVersion string) string {
	for i := range len(apiVersion) {
		if apiVersion[i] == '/' {
			return apiVersion[:i]
		}
	}
	return ""
}

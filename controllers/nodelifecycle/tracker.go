package nodelifecycle

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tracker remembers when the controller last saw a sign of life of each node, by
// its own clock: those of the nodes may differ.
type tracker struct {
	mu    sync.Mutex
	nodes map[string]*signs
}

type signs struct {
	uid       types.UID
	last      time.Time // when a sign was seen
	renewed   time.Time // the lease's renewTime at that moment
	heartbeat time.Time // the Ready condition's heartbeat
	ready     corev1.ConditionStatus
	known     bool // the node itself was seen, not just its lease
	unmarked  bool // its pods still have to be told that it is not ready
}

func newTracker() *tracker { return &tracker{nodes: make(map[string]*signs)} }

func (t *tracker) of(name string) *signs {
	s := t.nodes[name]
	if s == nil {
		s = &signs{}
		t.nodes[name] = s
	}
	return s
}

// lease notes a renewal.
func (t *tracker) lease(name string, renewed, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(name)
	if renewed.After(s.renewed) {
		s.renewed, s.last = renewed, now
	}
}

// node notes what a node says of itself. It reports whether the node is new,
// whether it has just stopped being ready, and when it was heard of last.
func (t *tracker) node(node *corev1.Node, now time.Time) (isNew, fell bool, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(node.Name)
	if s.known && s.uid != node.UID {
		*s = signs{} // another one of the same name
	}
	isNew = !s.known
	s.known, s.uid = true, node.UID
	if s.last.IsZero() {
		s.last = now
	}
	ready := readiness(node)
	fell = s.ready == corev1.ConditionTrue && ready != corev1.ConditionTrue
	if c := condition(node, corev1.NodeReady); c != nil {
		// The controller's own verdict is not a sign of life.
		if c.Status != corev1.ConditionUnknown && (s.ready != c.Status || c.LastHeartbeatTime.After(s.heartbeat)) {
			s.last = now
		}
		s.heartbeat = c.LastHeartbeatTime.Time
	}
	s.ready = ready
	if fell {
		s.unmarked = true
	} else if ready == corev1.ConditionTrue {
		s.unmarked = false
	}
	return isNew, fell, s.last
}

// unmarked reports that the pods of the node have not been told yet.
func (t *tracker) unmarked(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of(name).unmarked
}

// marked notes that they have.
func (t *tracker) marked(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(name).unmarked = false
}

// forget drops a node, and reports whether it was known.
func (t *tracker) forget(name string) (types.UID, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.nodes[name]
	delete(t.nodes, name)
	if s == nil || !s.known {
		return "", false
	}
	return s.uid, true
}

package model

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Tracker keeps the ports of all Services in one IP family. Its methods may be
// called from several goroutines, except that only one may use Sync and what it
// returns.
type Tracker struct {
	family corev1.IPFamily

	mu       sync.Mutex // protects everything below down to dirty
	here     Topology
	services map[types.NamespacedName][]Service
	slices   map[types.NamespacedName]map[string][]slicePort // by Service, then by name of the slice
	dirty    map[types.NamespacedName]struct{}               // Services whose ports must be rebuilt

	// Owned by the goroutine that calls Sync.
	ports map[PortName]*Port
	names map[types.NamespacedName][]PortName // of the ports of each Service
}

// NewTracker returns an empty tracker for a node.
func NewTracker(family corev1.IPFamily, node string) *Tracker {
	return &Tracker{
		family:   family,
		here:     Topology{Node: node},
		services: map[types.NamespacedName][]Service{},
		slices:   map[types.NamespacedName]map[string][]slicePort{},
		dirty:    map[types.NamespacedName]struct{}{},
		ports:    map[PortName]*Port{},
		names:    map[types.NamespacedName][]PortName{},
	}
}

// SetService takes a new or changed Service and reports whether anything that
// the proxy looks at is different.
func (t *Tracker) SetService(svc *corev1.Service) bool {
	key := types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
	ports := ServicePorts(svc, t.family)
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.EqualFunc(ports, t.services[key], func(a, b Service) bool { return a.equal(&b) }) {
		return false
	}
	if len(ports) == 0 {
		delete(t.services, key)
	} else {
		t.services[key] = ports
	}
	t.dirty[key] = struct{}{}
	return true
}

// DeleteService forgets a Service and reports whether it was known.
func (t *Tracker) DeleteService(key types.NamespacedName) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.services[key]; !known {
		return false
	}
	delete(t.services, key)
	t.dirty[key] = struct{}{}
	return true
}

// SetSlice takes a new or changed EndpointSlice and reports whether anything
// that the proxy looks at is different.
func (t *Tracker) SetSlice(slice *discoveryv1.EndpointSlice) bool {
	key, ok := sliceOwner(slice)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storeSlice(key, slice.Name, slicePorts(slice, t.family, t.here.Node))
}

// DeleteSlice forgets an EndpointSlice and reports whether it mattered.
func (t *Tracker) DeleteSlice(slice *discoveryv1.EndpointSlice) bool {
	key, ok := sliceOwner(slice)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storeSlice(key, slice.Name, nil)
}

func sliceOwner(slice *discoveryv1.EndpointSlice) (types.NamespacedName, bool) {
	name := slice.Labels[discoveryv1.LabelServiceName]
	return types.NamespacedName{Namespace: slice.Namespace, Name: name}, name != ""
}

func (t *Tracker) storeSlice(key types.NamespacedName, name string, ports []slicePort) bool {
	old := t.slices[key][name]
	if slices.EqualFunc(old, ports, func(a, b slicePort) bool { return a.equal(&b) }) {
		return false
	}
	if t.slices[key] == nil {
		t.slices[key] = map[string][]slicePort{}
	}
	if len(ports) == 0 {
		delete(t.slices[key], name)
	} else {
		t.slices[key][name] = ports
	}
	if len(t.slices[key]) == 0 {
		delete(t.slices, key)
	}
	t.dirty[key] = struct{}{}
	return true
}

// SetZone says in which zone the node is, and reports whether it moved.
func (t *Tracker) SetZone(zone string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.here.Zone == zone {
		return false
	}
	t.here.Zone = zone
	for key := range t.services {
		t.dirty[key] = struct{}{}
	}
	return true
}

// Change is a port as it was and as it is; either may be nil.
type Change struct{ Old, New *Port }

// Sync rebuilds what changed since the last call and returns the ports that are
// now different, by name.
func (t *Tracker) Sync() map[PortName]Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	changes := map[PortName]Change{}
	for key := range t.dirty {
		t.rebuild(key, changes)
	}
	// A new map: one that was big once is slow to walk and to clear for ever.
	t.dirty = map[types.NamespacedName]struct{}{}
	return changes
}

// rebuild makes the ports of one Service anew and notes those that are different.
func (t *Tracker) rebuild(key types.NamespacedName, changes map[PortName]Change) {
	var names []PortName
	for _, svc := range t.services[key] {
		names = append(names, svc.Name)
		port, old := newPort(svc, portEndpoints(t.slices[key], svc.Name), t.here), t.ports[svc.Name]
		if old == nil || !old.equal(port) {
			changes[svc.Name] = Change{Old: old, New: port}
			t.ports[svc.Name] = port
		}
	}
	for _, name := range t.names[key] {
		if !slices.Contains(names, name) {
			changes[name] = Change{Old: t.ports[name]}
			delete(t.ports, name)
		}
	}
	if len(names) == 0 {
		delete(t.names, key)
	} else {
		t.names[key] = names
	}
}

// Ports returns all ports as of the last Sync. The caller must not change the map.
func (t *Tracker) Ports() map[PortName]*Port { return t.ports }

func portEndpoints(bySlice map[string][]slicePort, name PortName) []Endpoint {
	var lists [][]Endpoint
	for _, sliceName := range slices.Sorted(maps.Keys(bySlice)) {
		for _, p := range bySlice[sliceName] {
			if p.name == name.Port && p.protocol == name.Protocol {
				lists = append(lists, p.endpoints)
			}
		}
	}
	return merge(lists...)
}

func (p *Port) equal(o *Port) bool {
	same := func(a, b Endpoint) bool { return a.equal(&b) }
	return p.Service.equal(&o.Service) && p.Any == o.Any && p.ReadyLocal == o.ReadyLocal &&
		slices.EqualFunc(p.Cluster, o.Cluster, same) && slices.EqualFunc(p.Local, o.Local, same)
}

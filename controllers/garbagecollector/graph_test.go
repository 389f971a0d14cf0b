package garbagecollector

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func id(name string) identity {
	return identity{APIVersion: "v1", Kind: "Thing", Namespace: "ns", Name: name, UID: types.UID(name)}
}

func ref(name string, block bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Thing", Name: name, UID: types.UID(name), BlockOwnerDeletion: ptr.To(block)}
}

func obj(name string, owners ...metav1.OwnerReference) object {
	return object{identity: id(name), owners: owners}
}

func foreground(o object) object { o.deleting, o.foreground = true, true; return o }

// wants compares what is to be checked, in any order.
func wants(t *testing.T, when string, w work, check ...types.UID) {
	t.Helper()
	got := slices.Clone(w.check)
	slices.Sort(got)
	got = slices.Compact(got)
	slices.Sort(check)
	if len(got)+len(check) > 0 && !slices.Equal(got, check) {
		t.Errorf("%s: to check %v, want %v", when, got, check)
	}
}

func TestGraphOfExistingOwners(t *testing.T) {
	g := newGraph()
	wants(t, "an owner comes", g.observe(obj("top")))
	wants(t, "a dependent of it", g.observe(obj("child", ref("top", true))))
	v, _ := g.get("top")
	if diff := cmp.Diff([]dependent{{identity: id("child"), blocks: true}}, v.dependents, cmp.AllowUnexported(dependent{})); diff != "" {
		t.Error(diff)
	}
	w, had := g.remove("top")
	wants(t, "the owner goes", w, "child")
	if !had {
		t.Error("that it had dependents is forgotten")
	}
	w, had = g.remove("child")
	wants(t, "the dependent goes", w)
	if had || len(g.nodes) != 0 {
		t.Errorf("left: %v", g.nodes)
	}
}

func TestGraphOfVirtualOwners(t *testing.T) {
	g := newGraph()
	wants(t, "an owner nobody saw", g.observe(obj("child", ref("top", false))), "top")
	if v, ok := g.get("top"); !ok || !v.virtual || v.identity != id("top") {
		t.Errorf("virtual node %+v", v)
	}
	wants(t, "it turns up", g.observe(obj("top")))
	if v, _ := g.get("top"); v.virtual || len(v.dependents) != 1 {
		t.Errorf("after it turned up: %+v", v)
	}

	g = newGraph()
	g.observe(obj("child", ref("top", false)))
	wants(t, "the last reference goes", g.observe(obj("child")))
	if _, ok := g.get("top"); ok {
		t.Error("a virtual node outlives its dependents")
	}

	// The reference gave another name than the owner has.
	g = newGraph()
	wrong := ref("top", false)
	wrong.Name = "bottom"
	g.observe(obj("child", wrong))
	wants(t, "it turns up elsewhere", g.observe(obj("top")), "child")
	g.observe(obj("top"))
	wants(t, "another wrong reference", g.observe(obj("child2", wrong)), "child2")
}

func TestGraphMisplacedOwner(t *testing.T) {
	g := newGraph()
	owner := obj("top")
	owner.Namespace = "elsewhere"
	g.observe(owner)
	w := g.observe(obj("child", ref("top", false)))
	wants(t, "owner in another namespace", w, "child")
	if len(w.misplaced) != 1 || w.misplaced[0].dependent.Name != "child" {
		t.Errorf("misplaced %+v", w.misplaced)
	}
	owner = obj("cluster")
	owner.Namespace = ""
	g.observe(owner)
	wants(t, "cluster-scoped owner", g.observe(obj("child2", ref("cluster", false))))
}

func TestGraphForegroundAndOrphan(t *testing.T) {
	g := newGraph()
	g.observe(obj("top"))
	g.observe(obj("a", ref("top", true)))
	g.observe(obj("b", ref("top", false)))
	wants(t, "foreground deletion starts", g.observe(foreground(obj("top"))), "top", "a", "b")
	wants(t, "the same again", g.observe(foreground(obj("top"))))
	wants(t, "a dependent stops blocking", g.observe(obj("a", ref("top", false))), "top")
	wants(t, "a dependent comes late", g.observe(obj("c", ref("top", true))), "c")
	w, _ := g.remove("b")
	wants(t, "a dependent goes", w, "top")
	wants(t, "a dependent leaves", g.observe(obj("c")), "top")

	orphaning := obj("o")
	g.observe(orphaning)
	orphaning.deleting, orphaning.orphan = true, true
	if w := g.observe(orphaning); !slices.Equal(w.orphan, []types.UID{"o"}) {
		t.Errorf("orphaning: %+v", w)
	}
	if w := g.observe(orphaning); len(w.orphan) != 0 {
		t.Errorf("orphaning twice: %+v", w)
	}
}

// Events in any order lead to the same graph.
func TestGraphOrderDoesNotMatter(t *testing.T) {
	objects := []object{obj("top"), obj("middle", ref("top", true)), obj("bottom", ref("middle", false), ref("top", false))}
	var want map[types.UID][]types.UID
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		g := newGraph()
		for _, i := range order {
			g.observe(objects[i])
		}
		got := make(map[types.UID][]types.UID)
		for uid, n := range g.nodes {
			if n.virtual {
				t.Errorf("order %v: %s is virtual", order, uid)
			}
			for d := range n.dependents {
				got[uid] = append(got[uid], d)
			}
			slices.Sort(got[uid])
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order %v: %s", order, diff)
		}
	}
}

func TestDecide(t *testing.T) {
	two := []metav1.OwnerReference{ref("a", true), ref("b", true)}
	calm, stuck := dependent{identity: id("d")}, dependent{identity: id("d"), waiting: true}
	for _, test := range []struct {
		name       string
		standings  []standing
		finalizers []string
		dependents []dependent
		want       verdict
	}{
		{"both stay", []standing{solid, solid}, nil, nil, verdict{action: keep}},
		{"one is gone", []standing{solid, dangling}, nil, nil, verdict{action: dropRefs, refs: two[:1]}},
		{"one is leaving", []standing{waiting, solid}, nil, nil, verdict{action: dropRefs, refs: two[1:]}},
		{"both are gone", []standing{dangling, dangling}, nil, nil, verdict{action: destroy, policy: metav1.DeletePropagationBackground}},
		{"gone, with finalizer orphan", []standing{dangling, dangling}, []string{"orphan"}, nil, verdict{action: destroy, policy: metav1.DeletePropagationOrphan}},
		{"gone, with finalizer foregroundDeletion", []standing{dangling, dangling}, []string{"foregroundDeletion"}, nil, verdict{action: destroy, policy: metav1.DeletePropagationForeground}},
		{"owner waits, nothing below", []standing{waiting, dangling}, nil, nil, verdict{action: destroy, policy: metav1.DeletePropagationBackground}},
		{"owner waits, something below", []standing{waiting, dangling}, nil, []dependent{calm}, verdict{action: destroy, policy: metav1.DeletePropagationForeground}},
		{"a circle", []standing{waiting, dangling}, nil, []dependent{stuck}, verdict{action: unblock, refs: []metav1.OwnerReference{ref("a", false), ref("b", false)}, policy: metav1.DeletePropagationForeground}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := decide(two, test.standings, test.finalizers, test.dependents)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(verdict{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := decide(nil, nil, nil, nil); got.action != keep {
		t.Errorf("an object without owners: %+v", got)
	}
}

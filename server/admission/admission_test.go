package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
)

func TestOrder(t *testing.T) {
	if diff := cmp.Diff([]string{
		"NamespaceLifecycle", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition", "Priority", "DefaultTolerationSeconds",
	}, DefaultOn()); diff != "" {
		t.Error(diff)
	}
	// The generic options insist that both are the same.
	plugins := admission.NewPlugins()
	lifecycle.Register(plugins)
	RegisterAll(plugins)
	if !sets.New(plugins.Registered()...).Equal(sets.New(Order()...)) {
		t.Errorf("registered %v, ordered %v", plugins.Registered(), Order())
	}
	if !sets.New(DefaultOn()...).Union(DefaultOff()).Equal(sets.New(Order()...)) || DefaultOff().HasAny(DefaultOn()...) {
		t.Errorf("on %v, off %v", DefaultOn(), DefaultOff())
	}
}

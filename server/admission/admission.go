// Package admission lists the admission plugins of the API server: what changes
// or refuses requests after they were authorized. Each plugin is a package below
// this one; this file is the only place that knows them all and their order.
//
// The generic API server brings NamespaceLifecycle, which its own package
// registers; it appears here by name only.
package admission

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"

	"github.com/skiff-project/skiff/server/admission/defaulttolerationseconds"
	"github.com/skiff-project/skiff/server/admission/noderestriction"
	"github.com/skiff-project/skiff/server/admission/priority"
	"github.com/skiff-project/skiff/server/admission/serviceaccount"
	"github.com/skiff-project/skiff/server/admission/taintnodesbycondition"
)

// entry is one plugin in the order of execution.
type entry struct {
	name     string
	register func(*admission.Plugins) // nil: registered by the library
	on       bool
}

// entries returns all plugins in upstream's order. Mutating ones run before all
// validating ones whatever their place.
func entries() []entry {
	return []entry{
		{name: lifecycle.PluginName, on: true},
		{name: serviceaccount.PluginName, register: serviceaccount.Register, on: true},
		{name: noderestriction.PluginName, register: noderestriction.Register, on: true},
		{name: taintnodesbycondition.PluginName, register: taintnodesbycondition.Register, on: true},
		{name: priority.PluginName, register: priority.Register, on: true},
		{name: defaulttolerationseconds.PluginName, register: defaulttolerationseconds.Register, on: true},
		// The generic webhook and policy plugins are not here while the kinds that
		// configure them are not served: their informers would retry for ever and hold
		// back every write.
	}
}

// RegisterAll registers every plugin of this project.
func RegisterAll(plugins *admission.Plugins) {
	for _, e := range entries() {
		if e.register != nil {
			e.register(plugins)
		}
	}
}

// Order returns the names of all plugins, generic ones included, in the order of
// execution. It is the server's AdmissionOptions.RecommendedPluginOrder.
func Order() []string {
	var names []string
	for _, e := range entries() {
		names = append(names, e.name)
	}
	return names
}

// DefaultOn returns the names of the plugins that run unless they are disabled,
// in the order of execution.
func DefaultOn() []string {
	var names []string
	for _, e := range entries() {
		if e.on {
			names = append(names, e.name)
		}
	}
	return names
}

// DefaultOff returns the other plugins. It is the server's
// AdmissionOptions.DefaultOffPlugins.
func DefaultOff() sets.Set[string] {
	off := sets.New[string]()
	for _, name := range Order() {
		if !slices.Contains(DefaultOn(), name) {
			off.Insert(name)
		}
	}
	return off
}

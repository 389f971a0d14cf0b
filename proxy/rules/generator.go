package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/skiff-project/skiff/proxy/model"
)

// Chain is a chain with its rules, one per line.
type Chain struct {
	Name  string
	Rules string
}

// Generator keeps the rules of all ports. It is not safe for concurrent use.
type Generator struct {
	config Config
	parts  map[model.PortName]*Part
	order  []model.PortName // sorted keys of parts; nil if it must be sorted anew
}

// NewGenerator returns a generator without ports.
func NewGenerator(c Config) (*Generator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Generator{config: c, parts: map[model.PortName]*Part{}}, nil
}

// Update takes changed ports and returns what must be written to the kernel, given
// that everything before was written. The result is empty if no rule is different.
func (g *Generator) Update(changes map[model.PortName]model.Change) Delta {
	var delta Delta
	var rewrite [sharedCount]bool
	old, fresh := map[string]string{}, map[string]string{}
	for name, change := range changes {
		before, after := g.replace(name, change.New)
		for i := range rewrite {
			rewrite[i] = rewrite[i] || before.lines[i] != after.lines[i]
		}
		for _, c := range before.chains {
			old[c.Name] = c.Rules
		}
		for _, c := range after.chains {
			fresh[c.Name] = c.Rules
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		if rules, had := old[name]; !had || rules != fresh[name] {
			delta.NAT.Write = append(delta.NAT.Write, Chain{name, fresh[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, still := fresh[name]; !still {
			delta.NAT.Delete = append(delta.NAT.Delete, name)
		}
	}
	for i, changed := range rewrite {
		if changed {
			delta.table(sharedChains[i].table).Write = append(delta.table(sharedChains[i].table).Write, g.shared(shared(i)))
		}
	}
	return delta
}

func (g *Generator) replace(name model.PortName, port *model.Port) (before, after *Part) {
	before, after = g.parts[name], &Part{}
	if before == nil {
		before = &Part{}
	}
	if port == nil {
		delete(g.parts, name)
		g.order = nil
		return before, after
	}
	if _, had := g.parts[name]; !had {
		g.order = nil
	}
	after = g.config.portPart(port)
	g.parts[name] = after
	return before, after
}

// Full returns everything that must be in the kernel. Of the chains that the nat
// table has now, those that are ours and belong to no port are deleted.
func (g *Generator) Full(existingNAT []string) Delta {
	var delta Delta
	for i := range sharedCount {
		t := delta.table(sharedChains[i].table)
		t.Write = append(t.Write, g.shared(i))
	}
	delta.Filter.Write = append(delta.Filter.Write, g.config.staticChains(TableFilter)...)
	delta.NAT.Write = append(delta.NAT.Write, g.config.staticChains(TableNAT)...)
	wanted := map[string]bool{}
	for _, name := range g.sorted() {
		for _, c := range g.parts[name].chains {
			wanted[c.Name] = true
			delta.NAT.Write = append(delta.NAT.Write, c)
		}
	}
	for _, name := range existingNAT {
		if PortChain(name) && !wanted[name] {
			delta.NAT.Delete = append(delta.NAT.Delete, name)
		}
	}
	return delta
}

func (g *Generator) sorted() []model.PortName {
	if g.order == nil {
		g.order = slices.SortedFunc(maps.Keys(g.parts), model.PortName.Compare)
	}
	return g.order
}

// shared joins the lines of all ports in one shared chain.
func (g *Generator) shared(i shared) Chain {
	size := 0
	for _, part := range g.parts {
		size += len(part.lines[i])
	}
	var b strings.Builder
	b.Grow(size + 512) // the last lines are the configuration's
	for _, name := range g.sorted() {
		b.WriteString(g.parts[name].lines[i])
	}
	switch i {
	case natServices:
		b.WriteString(g.config.nodePortsJump())
	case filterServices:
		b.WriteString(g.config.unknownServices())
	}
	return Chain{sharedChains[i].chain, b.String()}
}

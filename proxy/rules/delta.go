package rules

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// blockSize is how many chains go into one transaction. A change that fits is
// applied as a whole. Bigger ones (the first sync of a big cluster) are cut up:
// iptables-restore of the nft variant needs time that grows with the square of
// the chains in a transaction, minutes at 10,000 Services.
const blockSize = 200

// TableDelta is what changes in one table. Chains to write are made or emptied
// first; chains to delete go at the end, when nothing jumps to them any more.
type TableDelta struct {
	Write  []Chain
	Delete []string
}

// Delta is one change of both tables.
type Delta struct {
	Filter, NAT TableDelta
}

func (d *Delta) table(name string) *TableDelta {
	if name == TableFilter {
		return &d.Filter
	}
	return &d.NAT
}

// Empty reports whether there is nothing to write.
func (d *Delta) Empty() bool { return d.Filter.empty() && d.NAT.empty() }

func (t *TableDelta) empty() bool { return len(t.Write) == 0 && len(t.Delete) == 0 }

// Restore returns the change as input of iptables-restore --noflush. A table
// without changes is left out.
func (d *Delta) Restore() []byte {
	var b bytes.Buffer
	d.Filter.render(&b, TableFilter)
	d.NAT.render(&b, TableNAT)
	return b.Bytes()
}

// render writes one transaction, or several of which each leaves rules that work:
// chains come before those that jump to them, so that packets take the old way
// until the last one shows them the new.
func (t *TableDelta) render(b *bytes.Buffer, table string) {
	if len(t.Write)+len(t.Delete) <= blockSize {
		renderBlock(b, table, t.Write, t.Delete)
		return
	}
	bottomUp := slices.SortedStableFunc(slices.Values(t.Write), func(a, b Chain) int { return cmp.Compare(level(a.Name), level(b.Name)) })
	for block := range slices.Chunk(bottomUp, blockSize) {
		renderBlock(b, table, block, nil)
	}
	topDown := slices.SortedStableFunc(slices.Values(t.Delete), func(a, b string) int { return cmp.Compare(level(b), level(a)) })
	for block := range slices.Chunk(topDown, blockSize) {
		renderBlock(b, table, nil, block)
	}
}

// level orders chains so that each jumps only to chains of lower levels.
func level(chain string) int {
	for i, prefix := range []string{chainMarkMasq, "KUBE-SEP-", "KUBE-SV", "KUBE-EXT-", "KUBE-FW-", chainNodePorts} {
		if strings.HasPrefix(chain, prefix) {
			return i
		}
	}
	return 100
}

func renderBlock(b *bytes.Buffer, table string, write []Chain, remove []string) {
	if len(write)+len(remove) == 0 {
		return
	}
	names := make([]string, 0, len(write)+len(remove))
	for _, c := range write {
		names = append(names, c.Name)
	}
	names = append(names, remove...)
	// Backwards, because iptables-restore keeps them in a sorted list and looks
	// for the place of each from the front.
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	b.WriteString("*" + table + "\n")
	for _, name := range names {
		b.WriteString(":" + name + " - [0:0]\n")
	}
	for _, c := range write {
		b.WriteString(c.Rules)
	}
	for _, name := range remove {
		b.WriteString("-X " + name + "\n")
	}
	b.WriteString("COMMIT\n")
}

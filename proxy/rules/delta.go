package rules

import "bytes"

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

func (t *TableDelta) render(b *bytes.Buffer, table string) {
	if t.empty() {
		return
	}
	b.WriteString("*" + table + "\n")
	for _, c := range t.Write {
		b.WriteString(":" + c.Name + " - [0:0]\n")
	}
	for _, name := range t.Delete {
		b.WriteString(":" + name + " - [0:0]\n")
	}
	for _, c := range t.Write {
		b.WriteString(c.Rules)
	}
	for _, name := range t.Delete {
		b.WriteString("-X " + name + "\n")
	}
	b.WriteString("COMMIT\n")
}

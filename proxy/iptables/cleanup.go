package iptables

import (
	"context"
	"slices"

	"github.com/skiff-project/skiff/proxy/rules"
)

// Cleanup removes every chain and jump of the proxy. Where there is nothing of
// the proxy it changes nothing, not even makes the kernel's tables, and reports false.
func Cleanup(ctx context.Context, program *Program) (found bool, err error) {
	var delta rules.Delta
	var jumps []rules.Jump
	for table, d := range map[string]*rules.TableDelta{rules.TableFilter: &delta.Filter, rules.TableNAT: &delta.NAT} {
		chains, err := program.Chains(ctx, table)
		if err != nil {
			return false, err
		}
		d.Delete = ours(table, chains)
		if len(d.Delete) == 0 {
			continue
		}
		for _, j := range rules.Jumps() {
			if j.Table == table {
				jumps = append(jumps, j)
			}
		}
	}
	if delta.Empty() {
		return false, nil
	}
	if err := program.DeleteJumps(jumps); err != nil {
		return true, err
	}
	return true, program.Restore(ctx, delta.Restore())
}

func ours(table string, chains []string) []string {
	shared := rules.SharedChains(table)
	return slices.DeleteFunc(chains, func(name string) bool {
		return !slices.Contains(shared, name) && !(table == rules.TableNAT && rules.PortChain(name))
	})
}

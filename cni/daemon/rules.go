package daemon

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/coreos/go-iptables/iptables"
)

// lockSeconds is how long to wait for another program that holds the lock of
// legacy iptables.
const lockSeconds = 30

// errNoIPTables says that the machine has no iptables program.
var errNoIPTables = errors.New("is not installed")

// openIPTables finds the program on the PATH, where the host's administrator and
// Docker keep their rules too, or else in the system folders.
func openIPTables(is4 bool) (*iptables.IPTables, error) {
	name, protocol := "iptables", iptables.ProtocolIPv4
	if !is4 {
		name, protocol = "ip6tables", iptables.ProtocolIPv6
	}
	for _, candidate := range []string{name, "/usr/local/sbin/" + name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			ipt, err := iptables.New(iptables.IPFamily(protocol), iptables.Timeout(lockSeconds), iptables.Path(path))
			if err != nil {
				return nil, fmt.Errorf("asking %s for its version: %w", path, err)
			}
			return ipt, nil
		}
	}
	return nil, fmt.Errorf("the program %s %w", name, errNoIPTables)
}

// ensureChain makes a chain, its rules and the jump to it as they shall be.
func ensureChain(ipt *iptables.IPTables, c chain) error {
	right, err := chainIsRight(ipt, c)
	if err != nil {
		return err
	}
	if !right {
		if err := ipt.ClearChain(c.table, c.name); err != nil {
			return fmt.Errorf("making the chain %s: %w", c.name, err)
		}
		for _, rule := range c.rules {
			if err := ipt.Append(c.table, c.name, rule...); err != nil {
				return fmt.Errorf("adding a rule to %s: %w", c.name, err)
			}
		}
	}
	if err := ipt.AppendUnique(c.table, c.from, c.jump()...); err != nil {
		return fmt.Errorf("adding the jump from %s to %s: %w", c.from, c.name, err)
	}
	return nil
}

// chainIsRight reports whether the chain holds the rules and no others.
func chainIsRight(ipt *iptables.IPTables, c chain) (bool, error) {
	exists, err := ipt.ChainExists(c.table, c.name)
	if err != nil || !exists {
		return false, err
	}
	listed, err := ipt.List(c.table, c.name)
	if err != nil {
		return false, fmt.Errorf("listing the chain %s: %w", c.name, err)
	}
	var present []string
	for _, line := range listed {
		if rule, ok := strings.CutPrefix(line, "-A "+c.name+" "); ok {
			present = append(present, rule)
		}
	}
	if len(present) != len(c.rules) {
		return false, nil
	}
	for i, rule := range c.rules {
		if present[i] != listedForm(rule) {
			return false, nil
		}
	}
	return true, nil
}

// listedForm is a rule as iptables prints it: negations come before the option,
// as they do in ours, and nothing here needs quotes.
func listedForm(rule []string) string { return strings.Join(rule, " ") }

// removeChain takes a chain and the jump to it away. There may be none.
func removeChain(ipt *iptables.IPTables, c chain) error {
	exists, err := ipt.ChainExists(c.table, c.name)
	if err != nil {
		return fmt.Errorf("looking for the chain %s: %w", c.name, err)
	}
	if !exists {
		return nil
	}
	for {
		there, err := ipt.Exists(c.table, c.from, c.jump()...)
		if err != nil {
			return fmt.Errorf("looking for the jump to %s: %w", c.name, err)
		}
		if !there {
			break
		}
		if err := ipt.Delete(c.table, c.from, c.jump()...); err != nil {
			return fmt.Errorf("removing the jump to %s: %w", c.name, err)
		}
	}
	if err := ipt.ClearAndDeleteChain(c.table, c.name); err != nil {
		return fmt.Errorf("removing the chain %s: %w", c.name, err)
	}
	return nil
}

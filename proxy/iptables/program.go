package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-iptables/iptables"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/proxy/rules"
)

// lockSeconds is how long to wait for another program that holds the lock of
// legacy iptables. The nft variant has none.
const lockSeconds = 30

var systemFolders = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// ErrMissing is returned by Open where the machine has no iptables.
var ErrMissing = errors.New("the program is not installed")

// Program is iptables of one IP family.
type Program struct {
	path string
	lib  *iptables.IPTables
}

// Open finds the program for an IP family. It runs nothing but the question for
// the version.
func Open(family corev1.IPFamily) (*Program, error) {
	name, protocol := "iptables", iptables.ProtocolIPv4
	if family == corev1.IPv6Protocol {
		name, protocol = "ip6tables", iptables.ProtocolIPv6
	}
	path, err := find(name)
	if err != nil {
		return nil, err
	}
	lib, err := iptables.New(iptables.IPFamily(protocol), iptables.Timeout(lockSeconds), iptables.Path(path))
	if err != nil {
		return nil, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	return &Program{path: path, lib: lib}, nil
}

func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, folder := range systemFolders {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("looking for %s: %w", name, ErrMissing)
}

// RandomFully reports whether source ports can be randomized fully.
func (p *Program) RandomFully() bool { return p.lib.HasRandomFully() }

// Restore applies a change of rules, all of it or nothing.
func (p *Program) Restore(ctx context.Context, change []byte) error {
	cmd := exec.CommandContext(ctx, p.path+"-restore", "-w", strconv.Itoa(lockSeconds), "--noflush")
	cmd.Stdin = bytes.NewReader(change)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("applying rules with %s-restore: %w: %s", p.path, err, explain(stderr.String(), change))
	}
	return nil
}

var failedLine = regexp.MustCompile(`(?i)line:? (\d+)`)

// explain adds to the program's message the line that it complains about.
func explain(message string, change []byte) string {
	message = strings.Join(strings.Fields(message), " ")
	match := failedLine.FindStringSubmatch(message)
	if match == nil {
		return message
	}
	number, err := strconv.Atoi(match[1])
	lines := bytes.Split(change, []byte("\n"))
	if err != nil || number < 1 || number > len(lines) {
		return message
	}
	return fmt.Sprintf("%s (%q)", message, lines[number-1])
}

// Chains returns the names of the chains of a table. A table that does not exist
// yet has none, and is not made by asking.
func (p *Program) Chains(ctx context.Context, table string) ([]string, error) {
	cmd := exec.CommandContext(ctx, p.path+"-save", "-t", table)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the %s table with %s-save: %w: %s", table, p.path, err, strings.TrimSpace(stderr.String()))
	}
	return parseChains(out), nil
}

// parseChains reads the chain lines (":NAME POLICY [0:0]") of a saved table.
func parseChains(saved []byte) []string {
	var chains []string
	for line := range bytes.Lines(saved) {
		if rest, ok := bytes.CutPrefix(line, []byte(":")); ok {
			name, _, _ := bytes.Cut(rest, []byte(" "))
			chains = append(chains, string(bytes.TrimSpace(name)))
		}
	}
	return chains
}

// EnsureJumps puts the jumps at the top of the kernel's chains, in their order,
// and takes out doubled ones. Where they stand right already nothing is touched.
func (p *Program) EnsureJumps(jumps []rules.Jump) error {
	return p.eachKernelChain(jumps, func(table, chain string, wanted []rules.Jump) error {
		present, err := p.jumpTargets(table, chain, wanted)
		if err != nil {
			return err
		}
		if slices.EqualFunc(present, wanted, func(to string, j rules.Jump) bool { return to == j.To }) {
			return nil
		}
		// The new ones go in above the old ones, so that no packet finds none.
		for _, j := range slices.Backward(wanted) {
			if err := p.lib.Insert(table, chain, 1, j.Spec()...); err != nil {
				return fmt.Errorf("inserting the jump from %s to %s: %w", chain, j.To, err)
			}
		}
		return p.deleteJumpsBelow(table, chain, wanted)
	})
}

// deleteJumpsBelow removes jumps to our chains after the first len(wanted) ones.
func (p *Program) deleteJumpsBelow(table, chain string, wanted []rules.Jump) error {
	listed, err := p.list(table, chain)
	if err != nil {
		return err
	}
	for number := len(listed); number > len(wanted); number-- {
		if leadsTo(listed[number-1], wanted) == "" {
			continue
		}
		if err := p.lib.DeleteById(table, chain, number); err != nil {
			return fmt.Errorf("deleting a doubled jump in %s: %w", chain, err)
		}
	}
	return nil
}

// DeleteJumps removes the jumps wherever they stand, and however often.
func (p *Program) DeleteJumps(jumps []rules.Jump) error {
	return p.eachKernelChain(jumps, func(table, chain string, wanted []rules.Jump) error {
		listed, err := p.list(table, chain)
		if err != nil {
			return err
		}
		for number := len(listed); number > 0; number-- {
			if leadsTo(listed[number-1], wanted) == "" {
				continue
			}
			if err := p.lib.DeleteById(table, chain, number); err != nil {
				return fmt.Errorf("deleting a jump in %s: %w", chain, err)
			}
		}
		return nil
	})
}

// eachKernelChain calls do for each chain of the kernel with the jumps that belong there.
func (p *Program) eachKernelChain(jumps []rules.Jump, do func(table, chain string, wanted []rules.Jump) error) error {
	for len(jumps) > 0 {
		first, n := jumps[0], 1
		for n < len(jumps) && jumps[n].Table == first.Table && jumps[n].From == first.From {
			n++
		}
		if err := do(first.Table, first.From, jumps[:n]); err != nil {
			return err
		}
		jumps = jumps[n:]
	}
	return nil
}

// jumpTargets returns, in order, which of the wanted chains the kernel's chain
// jumps to now.
func (p *Program) jumpTargets(table, chain string, wanted []rules.Jump) ([]string, error) {
	listed, err := p.list(table, chain)
	if err != nil {
		return nil, err
	}
	var targets []string
	for _, rule := range listed {
		if to := leadsTo(rule, wanted); to != "" {
			targets = append(targets, to)
		}
	}
	return targets, nil
}

// list returns the rules of a chain, without the line that declares it.
func (p *Program) list(table, chain string) ([]string, error) {
	listed, err := p.lib.List(table, chain)
	if err != nil {
		return nil, fmt.Errorf("listing the chain %s: %w", chain, err)
	}
	return slices.DeleteFunc(listed, func(rule string) bool { return !strings.HasPrefix(rule, "-A ") }), nil
}

// leadsTo returns which of the wanted chains a listed rule jumps to, or nothing.
func leadsTo(rule string, wanted []rules.Jump) string {
	for _, j := range wanted {
		if strings.HasSuffix(rule, " -j "+j.To) {
			return j.To
		}
	}
	return ""
}

// HasRules reports whether a table has the chain, with at least one rule in it.
func (p *Program) HasRules(table, chain string) (bool, error) {
	found, err := p.lib.ChainExists(table, chain)
	if err != nil {
		return false, fmt.Errorf("looking for the chain %s: %w", chain, err)
	}
	if !found {
		return false, nil
	}
	listed, err := p.list(table, chain)
	return len(listed) > 0, err
}

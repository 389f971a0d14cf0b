// Package tracer walks imaginary packets through iptables rules, so that tests
// of a rule writer check what rules mean and survive their reordering.
//
// It knows just the matches and targets that the proxy writes and refuses all
// others. Random choices are followed both ways: the outcome is the set of all
// that can happen to the packet.
package tracer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Packet is the first packet of a connection.
type Packet struct {
	Protocol string // tcp, udp, sctp
	Source   netip.Addr
	Dest     netip.AddrPort
	// FromNode says that a program of the node itself sends it.
	FromNode bool
	// Remembered names the "recent" lists that have the source's address.
	Remembered []string
}

// Outcome is one thing that can happen to a packet.
type Outcome struct {
	Verdict    string // ACCEPT, DROP or REJECT
	Dest       netip.AddrPort
	Masquerade bool
	Remembers  string // the "recent" list that the packet was put on
}

// String returns the outcome in short.
func (o Outcome) String() string {
	if o.Verdict != "ACCEPT" {
		return o.Verdict
	}
	s := o.Dest.String()
	if o.Masquerade {
		s += " masqueraded"
	}
	return s
}

// Rules are the chains of several tables.
type Rules struct {
	chains map[string][]rule // by table/chain
	local  func(netip.Addr) bool
}

type rule struct {
	text    string
	words   []string
	matches []match
	target  string
	args    []string
}

type match struct {
	negated bool
	name    string
	args    []string
}

// Parse reads the input or the output of iptables-restore. Local tells the node's
// own addresses.
func Parse(text string, local func(netip.Addr) bool) (*Rules, error) {
	r := &Rules{chains: map[string][]rule{}, local: local}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line == "COMMIT" || line[0] == '#' || strings.HasPrefix(line, "-X "):
		case line[0] == '*':
			table = line[1:]
		case line[0] == ':':
			name, _, _ := strings.Cut(line[1:], " ")
			if _, known := r.chains[table+"/"+name]; !known {
				r.chains[table+"/"+name] = nil
			}
		default:
			chain, parsed, err := parseRule(line)
			if err != nil {
				return nil, fmt.Errorf("%s table: %q: %w", table, line, err)
			}
			r.chains[table+"/"+chain] = append(r.chains[table+"/"+chain], parsed)
		}
	}
	return r, nil
}

// argumentCount tells how many words follow each option.
var argumentCount = map[string]int{
	"-m": 1, "-p": 1, "-s": 1, "-d": 1, "--dport": 1, "--comment": 1, "--mark": 1, "--ctstate": 1,
	"--dst-type": 1, "--src-type": 1, "--mode": 1, "--probability": 1, "--name": 1, "--seconds": 1,
	"--rcheck": 0, "--reap": 0, "--set": 0,
}

func parseRule(line string) (chain string, r rule, err error) {
	words := split(line)
	if len(words) < 3 || words[0] != "-A" {
		return "", rule{}, fmt.Errorf("is not a rule")
	}
	r = rule{text: line, words: words}
	negated := false
	for i := 2; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "!":
			negated = true
			continue
		case word == "-j":
			r.target, r.args = words[i+1], words[i+2:]
			return words[1], r, nil
		}
		n, known := argumentCount[word]
		if !known || i+n >= len(words) {
			return "", rule{}, fmt.Errorf("does not know %q", word)
		}
		r.matches = append(r.matches, match{negated, word, words[i+1 : i+1+n]})
		negated = false
		i += n
	}
	return words[1], r, nil
}

// split cuts a line at spaces outside of double quotes.
func split(line string) []string {
	var words []string
	var b strings.Builder
	quoted, some := false, false
	for _, c := range line {
		switch {
		case c == '"':
			quoted, some = !quoted, true
		case c == ' ' && !quoted:
			if some {
				words = append(words, b.String())
			}
			b.Reset()
			some = false
		default:
			b.WriteRune(c)
			some = true
		}
	}
	if some {
		words = append(words, b.String())
	}
	return words
}

// state is a packet on its way.
type state struct {
	Packet
	mark       uint32
	translated bool
	masquerade bool
	remembers  string
	verdict    string // empty: goes on to the next rule
}

// Trace returns everything that can happen to a packet, without doubles.
func (r *Rules) Trace(p Packet) ([]Outcome, error) {
	states := []state{{Packet: p}}
	hooks := []func(state) string{
		func(state) string { return "nat/PREROUTING" },
		func(s state) string {
			if r.local(s.Dest.Addr()) {
				return "filter/INPUT"
			}
			return "filter/FORWARD"
		},
	}
	if p.FromNode {
		hooks = []func(state) string{
			func(state) string { return "nat/OUTPUT" },
			func(state) string { return "filter/OUTPUT" },
		}
	}
	hooks = append(hooks, func(s state) string {
		if !p.FromNode && r.local(s.Dest.Addr()) {
			return ""
		}
		return "nat/POSTROUTING"
	})
	for _, hook := range hooks {
		var next []state
		for _, s := range states {
			chain := hook(s)
			if s.verdict != "" || chain == "" {
				next = append(next, s)
				continue
			}
			after, err := r.walk(chain, s, 0)
			if err != nil {
				return nil, err
			}
			for _, a := range after {
				if a.verdict == "ACCEPT" || a.verdict == "RETURN" { // of this hook only
					a.verdict = ""
				}
				next = append(next, a)
			}
		}
		states = next
	}
	var outcomes []Outcome
	for _, s := range states {
		o := Outcome{Verdict: s.verdict}
		if s.verdict == "" {
			o = Outcome{"ACCEPT", s.Dest, s.masquerade, s.remembers}
		}
		if !slices.Contains(outcomes, o) {
			outcomes = append(outcomes, o)
		}
	}
	slices.SortFunc(outcomes, func(a, b Outcome) int { return strings.Compare(a.String(), b.String()) })
	return outcomes, nil
}

// walk sends a packet through a chain. A returned state without verdict came out
// at the end of the chain.
func (r *Rules) walk(chain string, s state, depth int) ([]state, error) {
	table, _, _ := strings.Cut(chain, "/")
	rules, known := r.chains[chain]
	if !known && depth > 0 {
		return nil, fmt.Errorf("jump to the missing chain %s", chain)
	}
	if depth > 10 {
		return nil, fmt.Errorf("chains call each other around %s", chain)
	}
	inside := []state{s}
	var out []state
	for _, rule := range rules {
		var next []state
		for _, s := range inside {
			yes, no, err := r.matches(rule, s)
			if err != nil {
				return nil, err
			}
			if no {
				next = append(next, s)
			}
			if !yes {
				continue
			}
			after, err := r.act(table, rule, s, depth)
			if err != nil {
				return nil, err
			}
			for _, a := range after {
				if a.verdict != "" {
					out = append(out, a)
				} else {
					next = append(next, a)
				}
			}
		}
		inside = next
	}
	for i := range out {
		if out[i].verdict == "RETURN" {
			out[i].verdict = ""
		}
	}
	return append(out, inside...), nil
}

// matches reports whether the packet can match the rule, and whether it can miss it.
func (r *Rules) matches(rule rule, s state) (yes, no bool, err error) {
	random := false
	for _, m := range rule.matches {
		ok := true
		switch m.name {
		case "-p":
			ok = m.args[0] == s.Protocol
		case "-s":
			ok, err = contains(m.args[0], s.Source)
		case "-d":
			ok, err = contains(m.args[0], s.Dest.Addr())
		case "--dport":
			ok = m.args[0] == strconv.Itoa(int(s.Dest.Port()))
		case "--mark":
			ok, err = markMatches(m.args[0], s.mark)
		case "--ctstate":
			states := strings.Split(m.args[0], ",")
			ok = slices.Contains(states, "NEW") || s.translated && slices.Contains(states, "DNAT")
		case "--dst-type":
			ok = r.local(s.Dest.Addr())
		case "--src-type":
			ok = r.local(s.Source)
		case "--probability":
			random = true
		case "--rcheck":
			ok = slices.Contains(s.Remembered, argument(rule, "--name"))
		}
		if err != nil {
			return false, false, fmt.Errorf("%q: %w", rule.text, err)
		}
		if ok == m.negated {
			return false, true, nil
		}
	}
	return true, random, nil
}

func contains(prefix string, addr netip.Addr) (bool, error) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return false, err
	}
	return p.Contains(addr), nil
}

func markMatches(arg string, mark uint32) (bool, error) {
	value, mask, _ := strings.Cut(arg, "/")
	v, err1 := strconv.ParseUint(value, 0, 32)
	m, err2 := strconv.ParseUint(mask, 0, 32)
	if err1 != nil || err2 != nil {
		return false, fmt.Errorf("mark %q is not value/mask", arg)
	}
	return mark&uint32(m) == uint32(v), nil
}

func argument(r rule, option string) string {
	for _, m := range r.matches {
		if m.name == option {
			return m.args[0]
		}
	}
	return ""
}

// act does what the rule's target says.
func (r *Rules) act(table string, rule rule, s state, depth int) ([]state, error) {
	for _, m := range rule.matches {
		if m.name == "--set" {
			s.remembers = argument(rule, "--name")
		}
	}
	switch rule.target {
	case "":
	case "ACCEPT", "DROP", "REJECT", "RETURN":
		s.verdict = rule.target
	case "MARK":
		bit, err := strconv.ParseUint(rule.args[1], 0, 32)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q: %w", rule.text, err)
		case rule.args[0] == "--or-mark":
			s.mark |= uint32(bit)
		case rule.args[0] == "--xor-mark":
			s.mark ^= uint32(bit)
		default:
			return nil, fmt.Errorf("%q: does not know %s", rule.text, rule.args[0])
		}
	case "DNAT":
		dest, err := netip.ParseAddrPort(rule.args[1])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", rule.text, err)
		}
		s.Dest, s.translated, s.verdict = dest, true, "ACCEPT"
	case "MASQUERADE":
		s.masquerade, s.verdict = true, "ACCEPT"
	default:
		return r.walk(table+"/"+rule.target, s, depth+1)
	}
	return []state{s}, nil
}

package iptables

import (
	"context"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/proxy/model"
	"github.com/skiff-project/skiff/proxy/rules"
)

// kernel is what a Backend needs of the program; *Program is the real one.
type kernel interface {
	Restore(ctx context.Context, change []byte) error
	Chains(ctx context.Context, table string) ([]string, error)
	EnsureJumps(jumps []rules.Jump) error
	HasRules(table, chain string) (bool, error)
}

var _ kernel = (*Program)(nil)

// Backend keeps the kernel's rules of one IP family as the ports want them. It
// is not safe for concurrent use.
type Backend struct {
	kernel    kernel
	generator *rules.Generator
	// written says that the kernel holds what the generator last gave. Only
	// then is a change enough.
	written bool
}

// NewBackend returns a backend that has written nothing yet.
func NewBackend(program *Program, config rules.Config) (*Backend, error) {
	config.RandomFully = program.RandomFully()
	generator, err := rules.NewGenerator(config)
	if err != nil {
		return nil, fmt.Errorf("configuring the rules: %w", err)
	}
	return &Backend{kernel: program, generator: generator}, nil
}

// Sync brings changed ports into the kernel. The first time, after an error and
// after Invalidate it writes everything and removes what is left of ports that
// are gone. It returns whether it wrote everything.
func (b *Backend) Sync(ctx context.Context, changes map[model.PortName]model.Change) (full bool, err error) {
	delta := b.generator.Update(changes)
	if !b.written {
		return true, b.writeAll(ctx)
	}
	if delta.Empty() {
		return false, nil
	}
	if err := b.kernel.Restore(ctx, delta.Restore()); err != nil {
		b.written = false
		return false, err
	}
	return false, nil
}

func (b *Backend) writeAll(ctx context.Context) error {
	existing, err := b.kernel.Chains(ctx, rules.TableNAT)
	if err != nil {
		return err
	}
	delta := b.generator.Full(existing)
	if err := b.kernel.Restore(ctx, delta.Restore()); err != nil {
		return err
	}
	if err := b.kernel.EnsureJumps(rules.Jumps()); err != nil {
		return err
	}
	b.written = true
	return nil
}

// Invalidate makes the next Sync write everything.
func (b *Backend) Invalidate() { b.written = false }

// Check looks whether the rules are still there, mends the jumps, and reports
// false if a table was flushed, so that Sync must be called.
func (b *Backend) Check(ctx context.Context) (bool, error) {
	if !b.written {
		return false, nil
	}
	for _, table := range []string{rules.TableFilter, rules.TableNAT} {
		there, err := b.kernel.HasRules(table, rules.Canary)
		if err != nil {
			return false, err
		}
		if !there {
			klog.FromContext(ctx).Info("The rules were flushed by another program, writing them again", "table", table)
			b.written = false
			return false, nil
		}
	}
	return true, b.kernel.EnsureJumps(rules.Jumps())
}

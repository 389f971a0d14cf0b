package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// applySlice asks systemd for a slice with limits. systemd forgets limits that
// are written into its cgroups behind its back, so they go through it.
func applySlice(ctx context.Context, slice string, limits Limits) error {
	conn, err := systemd.NewSystemConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connecting to systemd: %w", err)
	}
	defer conn.Close()
	properties := sliceProperties(limits)
	start := append([]systemd.Property{systemd.PropDescription("pods of Kubernetes"), property("DefaultDependencies", false)}, properties...)
	done := make(chan string, 1)
	_, err = conn.StartTransientUnitContext(ctx, slice, "replace", start, done)
	var dbusErr dbus.Error
	if errors.As(err, &dbusErr) && dbusErr.Name == "org.freedesktop.systemd1.UnitExists" {
		if err := conn.SetUnitPropertiesContext(ctx, slice, true, properties...); err != nil {
			return fmt.Errorf("setting the limits of %s: %w", slice, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("starting %s: %w", slice, err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("starting %s: systemd answers %q", slice, result)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopSlice ends a slice that exists.
func stopSlice(ctx context.Context, slice, path string) error {
	if !sliceExists(path) {
		return nil
	}
	conn, err := systemd.NewSystemConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connecting to systemd: %w", err)
	}
	defer conn.Close()
	done := make(chan string, 1)
	if _, err := conn.StopUnitContext(ctx, slice, "replace", done); err != nil {
		return fmt.Errorf("stopping %s: %w", slice, err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sliceExists(path string) bool {
	// Version 2 has it directly, version 1 in systemd's own hierarchy.
	for _, dir := range []string{Mount, filepath.Join(Mount, "systemd")} {
		if _, err := os.Stat(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func sliceProperties(limits Limits) []systemd.Property {
	properties := []systemd.Property{
		property("CPUAccounting", true),
		property("MemoryAccounting", true),
		property("TasksAccounting", true),
	}
	if limits.CPUShares > 0 {
		// systemd turns shares into a weight where cgroups are version 2.
		properties = append(properties, property("CPUShares", uint64(limits.CPUShares)))
	}
	if limits.CPUQuota > 0 {
		properties = append(properties, property("CPUQuotaPerSecUSec", quotaPerSecond(limits)))
	}
	if limits.MemoryBytes > 0 {
		properties = append(properties, property("MemoryMax", uint64(limits.MemoryBytes)))
	}
	if limits.PidsLimit > 0 {
		properties = append(properties, property("TasksMax", uint64(limits.PidsLimit)))
	}
	return properties
}

// quotaPerSecond returns the CPU time per second in microseconds, rounded up
// to 10 ms as systemd wants it.
func quotaPerSecond(limits Limits) uint64 {
	period := limits.CPUPeriod
	if period == 0 {
		period = cpuPeriod
	}
	const step = 10000
	perSecond := limits.CPUQuota * 1000000 / period
	return uint64((perSecond + step - 1) / step * step)
}

func property(name string, value any) systemd.Property {
	return systemd.Property{Name: name, Value: dbus.MakeVariant(value)}
}

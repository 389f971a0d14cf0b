// Package teardown gives a machine back as it was before skiff ran on it:
// containers, pod network, Service rules, mounts and cgroups. It works without
// any skiff process, from what it finds, so that it also cleans up after a
// crash. Doing it twice does no harm.
package teardown

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"

	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/progress"
	"github.com/skiff-project/skiff/cni/daemon"
	"github.com/skiff-project/skiff/proxy"
)

// Config says whose traces to remove.
type Config struct {
	DataDir    layout.DataDir
	DockerHost string
	Grace      time.Duration // for containers, after SIGTERM
}

// Node removes all traces of the node except the data of the cluster. It tries
// every step even if one before it fails.
func Node(ctx context.Context, c Config, report progress.Reporter) error {
	steps := []struct {
		name string
		do   func(context.Context, Config) error
	}{
		{"containers removed", removeContainers},
		{"Service rules removed", func(ctx context.Context, _ Config) error { return proxy.Cleanup(ctx) }},
		{"pod network removed", removeNetwork},
		{"volumes unmounted", removePods},
	}
	var problems []error
	for _, step := range steps {
		problems = append(problems, progress.Time(report, step.name, func() error { return step.do(ctx, c) }))
	}
	return errors.Join(problems...)
}

// removePods unmounts what pods had mounted and removes their folders: after the
// end of all containers they hold nothing that outlives a pod.
func removePods(_ context.Context, c Config) error {
	mounts, err := MountsUnder(c.DataDir.Kubelet())
	if err != nil {
		return err
	}
	var problems []error
	for _, path := range mounts {
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			problems = append(problems, fmt.Errorf("unmounting %s: %w", path, err))
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...) // removing now could reach into what is mounted
	}
	if err := os.RemoveAll(c.DataDir.Kubelet()); err != nil {
		return fmt.Errorf("removing pod folders: %w", err)
	}
	return nil
}

// MountsUnder returns the mount points below dir, the newest, and so the innermost,
// first. The kernel lists them by their real paths, so a link on the way to dir is
// followed. A folder that does not exist has none.
func MountsUnder(dir string) ([]string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", dir, err)
	}
	mounts, err := mount.New("").List()
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	var below []string
	for _, m := range slices.Backward(mounts) {
		if strings.HasPrefix(m.Path, real+"/") {
			below = append(below, m.Path)
		}
	}
	return below, nil
}

func removeNetwork(ctx context.Context, c Config) error {
	if err := daemon.Cleanup(ctx, daemon.Config{
		ConfDir: c.DataDir.CNIConf(),
		BinDir:  c.DataDir.CNIBin(),
		DataDir: c.DataDir.CNIState(),
	}); err != nil {
		return fmt.Errorf("removing the pod network: %w", err)
	}
	return nil
}

package pods

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/env"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// config turns the container's spec into what the engine is to run.
func (s *starter) config(ctx context.Context, image runtime.Image) (runtime.ContainerConfig, error) {
	m, spec, pod := s.w.m, s.start.Spec, s.pod
	if err := verifyNonRoot(pod, spec, image); err != nil {
		return runtime.ContainerConfig{}, err
	}
	made, err := env.Make(env.Input{
		Pod: pod, Container: spec,
		Fields:   env.Fields{PodIPs: s.podIPs, HostIPs: m.config.HostIPs, Allocatable: m.config.Allocatable},
		Services: m.config.Objects.Services(pod.Namespace),
		ConfigMap: func(name string) (*corev1.ConfigMap, error) {
			return m.config.Objects.ConfigMap(ctx, pod.Namespace, name)
		},
		Secret: func(name string) (*corev1.Secret, error) { return m.config.Objects.Secret(ctx, pod.Namespace, name) },
	})
	if err != nil {
		return runtime.ContainerConfig{}, err
	}
	for origin, keys := range made.Invalid {
		m.config.Recorder.Event(pod, corev1.EventTypeWarning, "InvalidEnvironmentVariableNames", env.InvalidMessage(origin, keys))
	}
	mounts, err := s.mounts(made.Vars)
	if err != nil {
		return runtime.ContainerConfig{}, err
	}
	if s.cgroup == "" { // the sandbox is of an earlier run of the agent
		s.cgroup, err = m.config.Cgroups.EnsurePod(ctx, podhelper.QOSClass(pod), string(pod.UID), cgroups.PodLimits(pod, 0))
		if err != nil {
			return runtime.ContainerConfig{}, err
		}
	}
	config := runtime.ContainerConfig{
		Pod:  runtime.PodRef{UID: string(pod.UID), Namespace: pod.Namespace, Name: pod.Name},
		Name: spec.Name, Kind: s.start.Kind, Attempt: s.start.Attempt, SandboxID: s.sandbox,
		Image: spec.Image, ImageID: image.ID, ImageRef: image.Ref(),
		Command: env.ExpandAll(spec.Command, made.Vars), Args: env.ExpandAll(spec.Args, made.Vars),
		Env: env.Strings(made.Vars), WorkingDir: spec.WorkingDir, Mounts: mounts,
		Stdin: spec.Stdin, StdinOnce: spec.StdinOnce, TTY: spec.TTY,
		Namespaces: runtime.NamespaceOptions{
			HostPID: pod.Spec.HostPID, SharePID: sharesProcesses(pod), TargetContainerID: s.target,
			HostNetwork: pod.Spec.HostNetwork, HostIPC: pod.Spec.HostIPC,
		},
		Resources:    cgroups.ContainerResources(pod, podhelper.QOSClass(pod), spec, m.config.NodeMemory),
		Security:     m.securityContext(pod, spec),
		CgroupParent: s.cgroup,
		SpecHash:     SpecHash(spec), GracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
		TerminationMessagePath: spec.TerminationMessagePath, TerminationMessagePolicy: spec.TerminationMessagePolicy,
		Labels: m.config.ContainerLabels,
	}
	if spec.Lifecycle != nil && spec.Lifecycle.StopSignal != nil {
		config.StopSignal = string(*spec.Lifecycle.StopSignal)
	}
	return config, nil
}

// mounts returns the container's volumes and the files that every container gets.
func (s *starter) mounts(variables []env.Var) ([]runtime.Mount, error) {
	spec := s.start.Spec
	lookup := env.Lookup(variables)
	mounts, err := s.w.m.config.Volumes.Mounts(s.pod, spec, func(text string) string { return env.Expand(text, lookup) })
	if err != nil {
		return nil, err
	}
	files, err := s.w.m.nameFiles(s.pod)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, m := range mounts {
		taken[path.Clean(m.ContainerPath)] = true
	}
	for _, m := range []runtime.Mount{{HostPath: files.hosts, ContainerPath: "/etc/hosts"}, {HostPath: files.resolv, ContainerPath: "/etc/resolv.conf"}} {
		if taken[m.ContainerPath] {
			continue
		}
		if _, err := os.Stat(m.HostPath); errors.Is(err, os.ErrNotExist) {
			// Made when the sandbox was, and lost since.
			if err := s.w.m.writeNameFiles(s.pod, s.podIPs); err != nil {
				return nil, err
			}
		}
		mounts = append(mounts, m)
	}
	if spec.TerminationMessagePath == "" {
		return mounts, nil
	}
	file := filepath.Join(filepath.Dir(files.hosts), "containers", spec.Name, strconv.Itoa(s.start.Attempt))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("making the directory of the termination message: %w", err)
	}
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		return nil, fmt.Errorf("making the termination message file: %w", err)
	}
	// Whatever user the container runs as writes it.
	if err := os.Chmod(file, 0o666); err != nil {
		return nil, fmt.Errorf("making the termination message file: %w", err)
	}
	return append(mounts, runtime.Mount{HostPath: file, ContainerPath: spec.TerminationMessagePath}), nil
}

// verifyNonRoot refuses a container that must not run as root and would, or may.
func verifyNonRoot(pod *corev1.Pod, spec *corev1.Container, image runtime.Image) error {
	podContext, own := pod.Spec.SecurityContext, spec.SecurityContext
	var nonRoot *bool
	var user *int64
	if podContext != nil {
		nonRoot, user = podContext.RunAsNonRoot, podContext.RunAsUser
	}
	if own != nil && own.RunAsNonRoot != nil {
		nonRoot = own.RunAsNonRoot
	}
	if own != nil && own.RunAsUser != nil {
		user = own.RunAsUser
	}
	if nonRoot == nil || !*nonRoot {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", podName(pod), spec.Name)
	if user != nil {
		if *user == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return nil
	}
	name, _, _ := strings.Cut(image.User, ":")
	number, err := strconv.ParseInt(name, 10, 64)
	switch {
	case name == "" || err == nil && number == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", name, where)
	}
	return nil
}

// securityContext merges the pod's and the container's, which wins.
func (m *Manager) securityContext(pod *corev1.Pod, spec *corev1.Container) runtime.SecurityContext {
	var result runtime.SecurityContext
	if p := pod.Spec.SecurityContext; p != nil {
		result.RunAsUser, result.RunAsGroup = p.RunAsUser, p.RunAsGroup
		result.SupplementalGroups = append(result.SupplementalGroups, p.SupplementalGroups...)
		if p.FSGroup != nil {
			result.SupplementalGroups = append(result.SupplementalGroups, *p.FSGroup)
		}
		result.Seccomp, result.AppArmor, result.SELinux = p.SeccompProfile, p.AppArmorProfile, p.SELinuxOptions
	}
	if c := spec.SecurityContext; c != nil {
		if c.RunAsUser != nil {
			result.RunAsUser = c.RunAsUser
		}
		if c.RunAsGroup != nil {
			result.RunAsGroup = c.RunAsGroup
		}
		if c.SeccompProfile != nil {
			result.Seccomp = c.SeccompProfile
		}
		if c.AppArmorProfile != nil {
			result.AppArmor = c.AppArmorProfile
		}
		if c.SELinuxOptions != nil {
			result.SELinux = c.SELinuxOptions
		}
		if c.Capabilities != nil {
			result.AddCapabilities, result.DropCapabilities = c.Capabilities.Add, c.Capabilities.Drop
		}
		result.Privileged = c.Privileged != nil && *c.Privileged
		result.ReadOnlyRootFS = c.ReadOnlyRootFilesystem != nil && *c.ReadOnlyRootFilesystem
		result.NoNewPrivileges = c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation
		result.UnmaskedProc = c.ProcMount != nil && *c.ProcMount == corev1.UnmaskedProcMount
	}
	if s := result.Seccomp; s != nil && s.Type == corev1.SeccompProfileTypeLocalhost && s.LocalhostProfile != nil {
		absolute := filepath.Join(m.config.SeccompDir, *s.LocalhostProfile)
		result.Seccomp = &corev1.SeccompProfile{Type: s.Type, LocalhostProfile: &absolute}
	}
	return result
}

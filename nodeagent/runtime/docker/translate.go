package docker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// createBody is the body of Docker's "create a container" and its name.
type createBody struct {
	Name       string
	Config     *container.Config
	HostConfig *container.HostConfig
}

// logConfig is fixed: kubelet's 10 MiB and 5 files.
func logConfig() container.LogConfig {
	return container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "5"}}
}

// translator turns configurations into Docker's form. It is pure; what it must know of the host is in facts.
type translator struct {
	node  string
	facts hostFacts
	// readProfile reads a seccomp profile of the host.
	readProfile func(path string) (string, error)
}

func (t translator) sandbox(c *runtime.SandboxConfig) createBody {
	host := &container.HostConfig{
		LogConfig:   logConfig(),
		NetworkMode: "none", // CNI connects it
		IpcMode:     container.IPCModeShareable,
		Sysctls:     c.Sysctls,
		OomScoreAdj: t.facts.clampOOMScoreAdj(cgroups.SandboxOOMScoreAdj),
		SecurityOpt: []string{"no-new-privileges"},
	}
	host.Resources.CgroupParent = c.CgroupParent
	host.Resources.CPUShares = 2 // it only sleeps
	config := &container.Config{Image: c.Image, Hostname: c.Hostname, Labels: sandboxLabels(t.node, c)}
	if c.HostNetwork {
		host.NetworkMode = "host"
		host.UTSMode = "host"
		config.Hostname = "" // Docker refuses one in the host's UTS namespace
	}
	if c.HostIPC {
		host.IpcMode = "host"
	}
	if c.HostPID {
		host.PidMode = "host"
	}
	return createBody{Name: containerName(sandboxName, c.Pod, c.Attempt), Config: config, HostConfig: host}
}

func (t translator) container(c *runtime.ContainerConfig) (createBody, error) {
	config := &container.Config{
		Image:      c.ImageID,
		Env:        c.Env,
		WorkingDir: c.WorkingDir,
		Labels:     containerLabels(t.node, c),
		OpenStdin:  c.Stdin,
		StdinOnce:  c.StdinOnce,
		Tty:        c.TTY,
		StopSignal: c.StopSignal,
		// An image's health check is not kube's: probes are.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	// Docker has kube's rules: an entrypoint drops the image's arguments.
	config.Entrypoint, config.Cmd = c.Command, c.Args
	host := &container.HostConfig{
		LogConfig:      logConfig(),
		OomScoreAdj:    t.facts.clampOOMScoreAdj(c.Resources.OOMScoreAdj),
		ReadonlyRootfs: c.Security.ReadOnlyRootFS,
	}
	join(host, c)
	host.Resources = resources(&c.Resources)
	host.Resources.CgroupParent = c.CgroupParent
	for _, m := range c.Mounts {
		translated, err := translateMount(m)
		if err != nil {
			return createBody{}, err
		}
		host.Mounts = append(host.Mounts, translated)
	}
	for _, d := range c.Devices {
		host.Resources.Devices = append(host.Resources.Devices, container.DeviceMapping{
			PathOnHost: d.HostPath, PathInContainer: d.ContainerPath, CgroupPermissions: d.Permissions})
	}
	config.User = user(&c.Security)
	for _, group := range c.Security.SupplementalGroups {
		host.GroupAdd = append(host.GroupAdd, strconv.FormatInt(group, 10))
	}
	if err := t.secure(host, &c.Security); err != nil {
		return createBody{}, err
	}
	return createBody{Name: containerName(c.Name, c.Pod, c.Attempt), Config: config, HostConfig: host}, nil
}

// join sets the namespaces of a container.
func join(host *container.HostConfig, c *runtime.ContainerConfig) {
	sandbox := "container:" + c.SandboxID
	host.NetworkMode = container.NetworkMode(sandbox)
	host.IpcMode = container.IpcMode(sandbox)
	if c.Namespaces.HostNetwork {
		host.NetworkMode = "host"
		host.UTSMode = "host"
	}
	if c.Namespaces.HostIPC {
		host.IpcMode = "host"
	}
	switch {
	case c.Namespaces.HostPID:
		host.PidMode = "host"
	case c.Namespaces.TargetContainerID != "":
		host.PidMode = container.PidMode("container:" + c.Namespaces.TargetContainerID)
	case c.Namespaces.SharePID:
		host.PidMode = container.PidMode(sandbox)
	}
}

func resources(r *runtime.Resources) container.Resources {
	result := container.Resources{
		CPUShares:  r.CPUShares,
		CPUQuota:   r.CPUQuota,
		CPUPeriod:  r.CPUPeriod,
		CpusetCpus: r.CpusetCpus,
		Memory:     r.MemoryBytes,
		// With both alike no swap is used, as in kube.
		MemorySwap: r.MemoryBytes,
	}
	if r.PidsLimit > 0 {
		result.PidsLimit = &r.PidsLimit
	}
	return result
}

func translateMount(m runtime.Mount) (mount.Mount, error) {
	result := mount.Mount{
		Type:        mount.TypeBind,
		Source:      m.HostPath,
		Target:      m.ContainerPath,
		ReadOnly:    m.ReadOnly || m.RecursiveReadOnly,
		BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
	}
	switch m.Propagation {
	case "", corev1.MountPropagationNone:
	case corev1.MountPropagationHostToContainer:
		result.BindOptions.Propagation = mount.PropagationRSlave
	case corev1.MountPropagationBidirectional:
		result.BindOptions.Propagation = mount.PropagationRShared
	default:
		return mount.Mount{}, runtime.Invalid(fmt.Errorf("mount propagation %q of %s is unknown", m.Propagation, m.ContainerPath))
	}
	if m.RecursiveReadOnly {
		result.BindOptions.ReadOnlyForceRecursive = true
	} else if m.ReadOnly {
		// Docker 25 and later would make all mounts below read-only; kube does that only when asked.
		result.BindOptions.ReadOnlyNonRecursive = true
	}
	return result, nil
}

// user returns Docker's "user:group". With a group alone the user is root, as the CRI has it.
func user(s *runtime.SecurityContext) string {
	var parts []string
	switch {
	case s.RunAsUser != nil:
		parts = append(parts, strconv.FormatInt(*s.RunAsUser, 10))
	case s.RunAsGroup != nil:
		parts = append(parts, "0")
	}
	if s.RunAsGroup != nil {
		parts = append(parts, strconv.FormatInt(*s.RunAsGroup, 10))
	}
	return strings.Join(parts, ":")
}

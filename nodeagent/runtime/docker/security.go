package docker

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// secure sets what a container may do.
func (t translator) secure(host *container.HostConfig, s *runtime.SecurityContext) error {
	if s.NoNewPrivileges {
		host.SecurityOpt = append(host.SecurityOpt, "no-new-privileges")
	}
	if s.SELinux != nil {
		for key, value := range map[string]string{"user": s.SELinux.User, "role": s.SELinux.Role, "type": s.SELinux.Type, "level": s.SELinux.Level} {
			if value != "" {
				host.SecurityOpt = append(host.SecurityOpt, "label="+key+":"+value)
			}
		}
		slices.Sort(host.SecurityOpt)
	}
	if s.Privileged {
		t.privilege(host)
		return nil
	}
	host.CapAdd = t.capabilities(s.AddCapabilities)
	host.CapDrop = names(s.DropCapabilities)
	if s.UnmaskedProc {
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	}
	if err := t.seccomp(host, s.Seccomp); err != nil {
		return err
	}
	appArmor(host, s.AppArmor)
	return nil
}

// privilege gives everything that the host has. Docker's own flag asks for
// every capability that Docker knows, and the kernel refuses those that the
// host has given up for good; then everything is given one by one.
func (t translator) privilege(host *container.HostConfig) {
	if t.facts.allCapabilities() {
		host.Privileged = true
		return
	}
	host.CapAdd = t.facts.capabilities
	host.SecurityOpt = append(host.SecurityOpt, "seccomp=unconfined", "apparmor=unconfined", "label=disable")
	host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	host.Resources.DeviceCgroupRules = []string{"a *:* rwm"}
	for _, device := range t.facts.devices {
		if !slices.ContainsFunc(host.Resources.Devices, func(d container.DeviceMapping) bool { return d.PathInContainer == device }) {
			host.Resources.Devices = append(host.Resources.Devices,
				container.DeviceMapping{PathOnHost: device, PathInContainer: device, CgroupPermissions: "rwm"})
		}
	}
	// Docker mounts sysfs read-only unless the caller mounts something there.
	if !slices.ContainsFunc(host.Mounts, func(m mount.Mount) bool { return m.Target == "/sys" }) {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: "/sys", Target: "/sys",
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate}})
	}
}

// capabilities returns Docker's list; ALL means all that the host has.
func (t translator) capabilities(add []corev1.Capability) []string {
	if slices.Contains(names(add), "ALL") && !t.facts.allCapabilities() {
		return t.facts.capabilities
	}
	return names(add)
}

func names(capabilities []corev1.Capability) []string {
	var result []string
	for _, c := range capabilities {
		result = append(result, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
	}
	return result
}

func (t translator) seccomp(host *container.HostConfig, profile *corev1.SeccompProfile) error {
	if profile == nil || profile.Type == corev1.SeccompProfileTypeUnconfined {
		host.SecurityOpt = append(host.SecurityOpt, "seccomp=unconfined")
		return nil
	}
	switch profile.Type {
	case corev1.SeccompProfileTypeRuntimeDefault:
		return nil
	case corev1.SeccompProfileTypeLocalhost:
		if profile.LocalhostProfile == nil {
			return runtime.Invalid(fmt.Errorf("seccomp profile type %s has no localhostProfile", profile.Type))
		}
		content, err := t.readProfile(*profile.LocalhostProfile)
		if err != nil {
			return runtime.Invalid(fmt.Errorf("cannot load seccomp profile %q: %w", *profile.LocalhostProfile, err))
		}
		host.SecurityOpt = append(host.SecurityOpt, "seccomp="+content)
		return nil
	default:
		return runtime.Invalid(fmt.Errorf("seccomp profile type %q is unknown", profile.Type))
	}
}

func appArmor(host *container.HostConfig, profile *corev1.AppArmorProfile) {
	if profile == nil {
		return
	}
	switch {
	case profile.Type == corev1.AppArmorProfileTypeUnconfined:
		host.SecurityOpt = append(host.SecurityOpt, "apparmor=unconfined")
	case profile.Type == corev1.AppArmorProfileTypeLocalhost && profile.LocalhostProfile != nil:
		host.SecurityOpt = append(host.SecurityOpt, "apparmor="+*profile.LocalhostProfile)
	}
}

func readProfile(path string) (string, error) {
	content, err := os.ReadFile(path)
	return string(content), err
}

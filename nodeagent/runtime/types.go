package runtime

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PodRef names a pod.
type PodRef struct {
	UID       string
	Namespace string
	Name      string
}

// SandboxConfig is what a sandbox is made from.
type SandboxConfig struct {
	Pod     PodRef
	Attempt int

	// Image is the pause image, present locally (images.EnsurePause).
	Image string
	// Hostname of the UTS namespace; ignored with HostNetwork, where it is the host's.
	Hostname                      string
	HostNetwork, HostPID, HostIPC bool
	// ShareProcessNamespace lets the pod's containers see each other; the pause process is then their PID 1 and reaps.
	// (The containers' NamespaceOptions must say so too.)
	ShareProcessNamespace bool
	// Sysctls of the pod's namespaces.
	Sysctls map[string]string
	// CgroupParent is the pod's cgroup, as cgroups.Names gives it; empty for the engine's default.
	CgroupParent string
	// Labels are added to the engine's own and may not contain "io.kubernetes." keys.
	Labels map[string]string
}

// Sandbox is a sandbox as it is.
type Sandbox struct {
	ID      string
	Pod     PodRef
	Attempt int
	// State is StateRunning when containers can be put in. Any other sandbox is of no more use.
	State     State
	CreatedAt time.Time
	// PID and NetNS (/proc/<pid>/ns/net) are set while it runs.
	PID         int
	NetNS       string
	HostNetwork bool
	Image       string
	Labels      map[string]string
}

// Kind says which list of the pod spec a container is from.
type Kind string

// The kinds of containers.
const (
	KindRegular   Kind = "regular"
	KindInit      Kind = "init"
	KindEphemeral Kind = "ephemeral"
)

// State is a step in a container's life: Created -> Running -> Exited. Unknown
// is everything that the engine cannot tell (dead, removal in progress).
type State string

// The states of a container.
const (
	StateCreated State = "Created"
	StateRunning State = "Running"
	StateExited  State = "Exited"
	StateUnknown State = "Unknown"
)

// The reasons of an ended container, as ContainerStateTerminated has them.
const (
	ReasonCompleted  = "Completed"
	ReasonError      = "Error"
	ReasonOOMKilled  = "OOMKilled"
	ReasonStartError = "StartError"
)

// StartErrorExitCode is the exit code of a container whose process could not be started.
const StartErrorExitCode = 128

// ContainerConfig is what a container is made from. The caller has resolved
// all: variables expanded, volumes mounted, image present.
type ContainerConfig struct {
	Pod  PodRef
	Name string
	Kind Kind
	// Attempt counts the container's starts in this pod from 0; it becomes restartCount.
	Attempt int
	// SandboxID is the running sandbox to join.
	SandboxID string

	// Image is the reference the user wrote; kept for the status.
	Image string
	// ImageID is the local image (Image.ID) to run.
	ImageID string
	// ImageRef is Image.Ref(), kept for the status; empty: ImageID.
	ImageRef string

	// Command and Args are kube's: Command replaces the image's entrypoint,
	// and then the image's arguments do not count; Args alone replace the image's arguments.
	Command    []string
	Args       []string
	Env        []string // NAME=value
	WorkingDir string   // empty: the image's

	// Mounts in the order in which they are made. Also /etc/hosts,
	// /etc/resolv.conf and the termination log are mounts of the caller.
	Mounts  []Mount
	Devices []Device

	Stdin, StdinOnce, TTY bool

	Namespaces   NamespaceOptions
	Resources    Resources
	Security     SecurityContext
	CgroupParent string // as in SandboxConfig

	// StopSignal of lifecycle.stopSignal, "SIGUSR1"; empty: the image's, else SIGTERM.
	StopSignal string

	// The rest is only kept, and comes back in Container.

	// SpecHash changes when the container must be restarted because its spec has changed.
	SpecHash                 string
	GracePeriodSeconds       *int64 // the pod's terminationGracePeriodSeconds
	TerminationMessagePath   string // inside the container
	TerminationMessagePolicy corev1.TerminationMessagePolicy
	// Labels are added to the engine's own and may not contain "io.kubernetes." keys.
	Labels map[string]string
}

// NamespaceOptions say which namespaces a container joins other than the
// sandbox's network, IPC and UTS namespaces.
type NamespaceOptions struct {
	HostPID bool
	// SharePID joins the sandbox's PID namespace (shareProcessNamespace).
	SharePID bool
	// TargetContainerID joins that container's PID namespace (ephemeral containers' targetContainerName).
	TargetContainerID string
	HostNetwork       bool
	HostIPC           bool
}

// Mount binds a path of the host into a container.
type Mount struct {
	HostPath      string // must exist
	ContainerPath string
	ReadOnly      bool
	// RecursiveReadOnly makes also the mounts below read-only, where the engine can (API 1.44); else an error.
	RecursiveReadOnly bool
	// Propagation: empty is None.
	Propagation corev1.MountPropagationMode
}

// Device gives a container a device of the host.
type Device struct {
	HostPath, ContainerPath string
	Permissions             string // "rwm"
}

// Resources are limits in the kernel's units; zero means not limited. See
// cgroups.ContainerResources for the way from a container's requests and limits.
type Resources struct {
	CPUShares   int64 // 2..262144, also on cgroup v2, where the engine converts
	CPUQuota    int64 // microseconds per period
	CPUPeriod   int64 // microseconds; 0: 100000
	MemoryBytes int64 // without swap
	PidsLimit   int64
	CpusetCpus  string
	// OOMScoreAdj is a wish: a value below what the host allows is raised to that.
	OOMScoreAdj int
	// HugepageLimits in bytes by page size ("2MB"); ignored where the engine has no such setting.
	HugepageLimits map[string]int64
}

// SecurityContext is the effective one: the pod's and the container's, merged.
type SecurityContext struct {
	RunAsUser  *int64
	RunAsGroup *int64
	// SupplementalGroups holds also fsGroup.
	SupplementalGroups []int64
	Privileged         bool
	// AddCapabilities and DropCapabilities as in the API: "NET_ADMIN", "ALL".
	AddCapabilities  []corev1.Capability
	DropCapabilities []corev1.Capability
	ReadOnlyRootFS   bool
	// NoNewPrivileges is allowPrivilegeEscalation: false.
	NoNewPrivileges bool
	// UnmaskedProc is procMount: Unmasked.
	UnmaskedProc bool
	// Seccomp nil is Unconfined, as kube's default is; Localhost paths are made absolute by the caller.
	Seccomp *corev1.SeccompProfile
	// AppArmor nil is the engine's default.
	AppArmor *corev1.AppArmorProfile
	SELinux  *corev1.SELinuxOptions
}

// Container is a container as it is.
type Container struct {
	ID        string
	Name      string
	Kind      Kind
	Pod       PodRef
	Attempt   int
	SandboxID string

	State      State
	CreatedAt  time.Time
	StartedAt  time.Time // zero if never started
	FinishedAt time.Time // zero unless StateExited
	PID        int       // 0 unless StateRunning

	// ExitCode (128+n after signal n), Reason (one of Reason...) and Message are set in StateExited.
	ExitCode int
	Reason   string
	Message  string

	Image string // as in the config
	// ImageID is the local image's ID; ImageRef what the status shows: a repository digest if there is one, else the ID.
	ImageID  string
	ImageRef string

	SpecHash                 string
	GracePeriodSeconds       *int64
	TerminationMessagePath   string
	TerminationMessagePolicy corev1.TerminationMessagePolicy
	// TerminationMessageHostPath is the source of the mount at
	// TerminationMessagePath; empty if there is none.
	TerminationMessageHostPath string

	Mounts    []Mount
	Resources Resources
	// User is what the process runs as, "uid[:gid]" or names; empty: root.
	User         string
	Stdin, TTY   bool
	CgroupParent string
	LogPath      string
	Labels       map[string]string
}

// Pod is what the engine holds of a pod.
type Pod struct {
	PodRef
	// Sandboxes, newest attempt first. Only the first can be in use.
	Sandboxes []Sandbox
	// Containers of all attempts, newest first (by creation).
	Containers []Container
}

// Image is a local image.
type Image struct {
	ID          string   // sha256:...
	RepoTags    []string // name:tag
	RepoDigests []string // name@sha256:...
	SizeBytes   int64
	CreatedAt   time.Time
	// User, "uid", "uid:gid", "name": for runAsNonRoot.
	User       string
	Entrypoint []string
	Cmd        []string
}

// Ref returns what containerStatuses[].imageID shows.
func (i Image) Ref() string {
	if len(i.RepoDigests) > 0 {
		return i.RepoDigests[0]
	}
	return i.ID
}

// RegistryAuth are credentials for one registry.
type RegistryAuth struct {
	Username, Password string
	// Auth is base64 of username:password, used if those are empty.
	Auth          string
	ServerAddress string
	IdentityToken string
	RegistryToken string
}

// PullProgress is the sum over all layers that are known so far.
type PullProgress struct {
	CurrentBytes, TotalBytes int64
	// Message is the engine's last line.
	Message string
}

// Sandbox returns the newest sandbox, nil if there is none.
func (p *Pod) Sandbox() *Sandbox {
	if len(p.Sandboxes) == 0 {
		return nil
	}
	return &p.Sandboxes[0]
}

// Container returns the newest container of that name, nil if there is none.
func (p *Pod) Container(name string) *Container {
	for i := range p.Containers {
		if p.Containers[i].Name == name {
			return &p.Containers[i]
		}
	}
	return nil
}

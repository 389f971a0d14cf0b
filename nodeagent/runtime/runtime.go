// Package runtime says what the node agent needs of a container engine: small
// interfaces, the types they speak and the rules that every implementation
// keeps. The one for Docker Engine is in runtime/docker, a stateful fake for
// tests in runtime/fake; both pass the scenarios of runtime/runtimetest.
//
// The model. A pod is a sandbox (a pause container that holds the network, IPC
// and UTS namespaces) and containers that join it. Each start of a container
// is a new container with the next attempt number; the engine keeps the dead
// ones until they are removed. Everything that the agent must know after its
// own restart is in the engine (labels), so that GetPod and ListPods are
// enough to rebuild all of its state; nothing here is stored elsewhere.
//
// Traps. Calls are synchronous and can take as long as the engine takes; every
// one honours its context. Methods are safe for concurrent use. Identifiers
// are the engine's full ones, without a "docker://" prefix: see Info.Name.
package runtime

import (
	"context"
	"io"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// Runtime is everything an engine can do. Take the smaller interfaces where
// they are enough.
type Runtime interface {
	Sandboxes
	Containers
	Pods
	Images
	Streams
	Logs
	Events
	Host
}

// Sandboxes makes and ends the pause containers of pods.
type Sandboxes interface {
	// CreateSandbox creates and starts a sandbox and returns it running, with
	// PID and NetNS. A pod network is not set up yet (unless HostNetwork): call
	// network.Add with NetNS next. A leftover of the same pod and attempt
	// is removed first, so a retry after a crash is safe.
	CreateSandbox(ctx context.Context, config SandboxConfig) (Sandbox, error)
	// StopSandbox kills the sandbox's process; its namespaces live until the
	// last container in them has ended. Stop the containers and undo the pod
	// network first. No error if it is stopped or gone.
	StopSandbox(ctx context.Context, id string) error
	// RemoveSandbox removes it, killing it if it runs. No error if it is gone.
	RemoveSandbox(ctx context.Context, id string) error
}

// Containers makes and ends containers.
type Containers interface {
	// CreateContainer creates a container, not started, and returns its ID. A
	// never started leftover of the same pod, name and attempt is replaced.
	// Errors: IsImageNotFound if ImageID is gone; IsInvalid if the
	// configuration cannot be run as it is (CreateContainerConfigError).
	CreateContainer(ctx context.Context, config ContainerConfig) (id string, err error)
	// StartContainer starts it. If the process cannot be started (no such
	// command, a bad mount) the error holds the engine's text, and the
	// container is from then on StateExited with ReasonStartError.
	StartContainer(ctx context.Context, id string) error
	// StopContainer sends the container's stop signal, and SIGKILL once grace has passed
	// (0 kills at once); returns when it has ended. Cancelling ctx stops
	// waiting and leaves the signal sent. A second call with a shorter grace
	// overtakes a first one. No error if it has ended or is gone.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	// RemoveContainer removes it with its logs, killing it if it runs. No
	// error if it is gone.
	RemoveContainer(ctx context.Context, id string) error
	// UpdateContainer changes the resources of a running container in place.
	UpdateContainer(ctx context.Context, id string, resources Resources) error
}

// Pods reads what there is.
type Pods interface {
	// GetPod returns the pod's sandboxes and containers with all details, in
	// any state; an empty Pod with that UID if there is none.
	GetPod(ctx context.Context, uid string) (Pod, error)
	// ListPods returns all pods that have at least one sandbox or container,
	// ordered by UID.
	ListPods(ctx context.Context) ([]Pod, error)
}

// Images reads, pulls and removes images.
type Images interface {
	// InspectImage finds a local image by name, name@digest or ID; IsNotFound if
	// there is none.
	InspectImage(ctx context.Context, ref string) (Image, error)
	// PullImage pulls ref (a normalized reference) with the given credentials (nil: none) and
	// returns the image. progress may be nil. Errors: IsNotFound (no such
	// repository or tag, or no right to see it), IsUnreachable, IsUnauthorized.
	PullImage(ctx context.Context, ref string, auth *RegistryAuth, progress func(PullProgress)) (Image, error)
	// ListImages returns all tagged or used images.
	ListImages(ctx context.Context) ([]Image, error)
	// RemoveImage removes every name of the image and then the image. No error if it is gone.
	RemoveImage(ctx context.Context, id string) error
}

// Streams runs commands in, attaches to and connects into running containers.
type Streams interface {
	// ExecSync runs a command to its end and returns what it wrote (each at
	// most MaxExecOutput bytes, the rest is dropped). A non-zero exit is not
	// an error. After timeout (0: none) it returns IsTimeout; the
	// process is killed if the engine allows. IsNotRunning if the container is
	// not running.
	ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (ExecResult, error)
	// Exec runs a command with streams and returns when it has ended: nil for
	// exit code 0, else a k8s.io/utils/exec.ExitError.
	Exec(ctx context.Context, id string, command []string, streams StreamOptions) error
	// Attach connects to the first process of a container and returns when it
	// ends or when the client has closed its side. TTY is read from the container, not
	// from the options.
	Attach(ctx context.Context, id string, streams StreamOptions) error
	// PortForward connects stream with 127.0.0.1:port, else [::1]:port, inside the sandbox's network
	// namespace, until either side ends.
	PortForward(ctx context.Context, sandboxID string, port int32, stream io.ReadWriteCloser) error
}

// Logs reads what containers wrote.
type Logs interface {
	// ReadLogs copies a container's log, running or not, to stdout and stderr
	// (which may be the same writer). With Follow it returns when the
	// container has ended and all was copied, or when ctx is done.
	ReadLogs(ctx context.Context, id string, options LogOptions, stdout, stderr io.Writer) error
}

// Events reports changes.
type Events interface {
	// Watch returns a channel of changes of pods' sandboxes and containers, closed when ctx
	// is done. The engine's restart does not end it: whenever events may have
	// been lost (also at the start of the channel, so that no separate first
	// list is needed) an EventResync comes, and the receiver lists all pods
	// again. The receiver must keep reading.
	Watch(ctx context.Context) <-chan Event
}

// Host describes the engine and its machine.
type Host interface {
	// Info asks the engine for its description; an error means that the engine does not answer.
	Info(ctx context.Context) (Info, error)
}

// MaxExecOutput is how much of each stream ExecSync returns.
const MaxExecOutput = 16 << 20

// ExecResult is the outcome of a command.
type ExecResult struct {
	ExitCode int
	Stdout   []byte
	Stderr   []byte
}

// TerminalSize is a terminal's size in characters.
type TerminalSize = remotecommand.TerminalSize

// StreamOptions are the streams of an Exec or Attach. Nil streams are not
// connected. With TTY there is only one output stream, Stdout.
type StreamOptions struct {
	Stdin          io.Reader
	Stdout, Stderr io.WriteCloser
	TTY            bool
	Resize         <-chan TerminalSize
}

// LogOptions select a part of a log; they are those of corev1.PodLogOptions.
type LogOptions struct {
	Follow     bool
	Timestamps bool      // RFC 3339 with nanoseconds before each line
	Since      time.Time // zero: from the start
	Tail       *int64    // nil: all lines
	LimitBytes *int64    // nil: no limit, counted over both streams
}

// EventType is what happened.
type EventType string

// The types of events.
const (
	EventStarted EventType = "Started"
	EventDied    EventType = "Died"
	EventRemoved EventType = "Removed"
	// EventResync has no pod: anything may have changed.
	EventResync EventType = "Resync"
)

// Event is one change of one sandbox or container.
type Event struct {
	Type        EventType
	PodUID      string
	ContainerID string
	// Container is the container's name, empty for a sandbox.
	Container string
	Time      time.Time
}

// Info describes an engine and its host.
type Info struct {
	Name    string // "docker": the scheme of container IDs in the API, docker://<id>
	Version string // of the engine

	OperatingSystem string // "Debian GNU/Linux 12 (bookworm)"
	KernelVersion   string
	Architecture    string // GOARCH
	CPUs            int
	MemoryBytes     int64

	RootDir       string // where the engine keeps images and containers
	CgroupDriver  string // "cgroupfs" or "systemd"
	CgroupVersion int    // 1 or 2
	LiveRestore   bool   // containers survive an engine restart
}

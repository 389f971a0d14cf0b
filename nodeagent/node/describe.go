package node

import (
	"cmp"
	"fmt"
	"net/netip"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/version"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// described is what the configuration says of a node.
type described struct {
	Name    string
	IPs     []netip.Addr
	MaxPods int
	Port    int
}

func (n *Node) described() described {
	return described{Name: n.cfg.Name, IPs: n.cfg.IPs, MaxPods: n.cfg.MaxPods, Port: n.cfg.Port}
}

// Facts are what was found on the machine at one moment.
type Facts struct {
	Machine Machine
	Engine  runtime.Info
	// Images are nil if they could not be listed.
	Images []runtime.Image
	// EngineProblem and NetworkProblem are nil if all is well.
	EngineProblem, NetworkProblem error
	Now                           time.Time
}

// Hard eviction thresholds, which are kept free on every node: kube's defaults.
const (
	minimumMemory    = 100 << 20
	minimumDiskShare = 10 // per cent
	minimumInodes    = 5  // per cent
	maximumImages    = 50 // in the status
	maximumNames     = 5  // of each image
)

// Describe returns the node's status. Of the last one it keeps what others have
// written (conditions of other types), and, while the engine does not answer,
// what only the engine knows.
func Describe(d described, last corev1.NodeStatus, f Facts) corev1.NodeStatus {
	s := *last.DeepCopy()
	s.Addresses = nil
	for _, ip := range d.IPs {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: d.Name})
	s.DaemonEndpoints.KubeletEndpoint.Port = int32(d.Port)
	s.Capacity = capacity(d, f.Machine)
	s.Allocatable = allocatable(s.Capacity)
	setNodeInfo(&s.NodeInfo, f)
	if f.EngineProblem == nil && f.Images != nil {
		s.Images = imageList(f.Images)
	}
	for _, condition := range conditions(f) {
		setCondition(&s, condition, f.Now)
	}
	return s
}

func capacity(d described, m Machine) corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(m.CPUs), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(m.Memory, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(int64(d.MaxPods), resource.DecimalSI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(m.Disk, resource.BinarySI),
	}
	for name, bytes := range m.HugePages {
		list[corev1.ResourceName(name)] = *resource.NewQuantity(bytes, resource.BinarySI)
	}
	return list
}

// allocatable is the capacity without what is kept free, and without huge pages,
// which are taken from the memory.
func allocatable(capacity corev1.ResourceList) corev1.ResourceList {
	list := capacity.DeepCopy()
	memory := list[corev1.ResourceMemory]
	memory.Sub(*resource.NewQuantity(minimumMemory, resource.BinarySI))
	for name, quantity := range capacity {
		if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			memory.Sub(quantity)
		}
	}
	if memory.Sign() < 0 {
		memory.Set(0)
	}
	list[corev1.ResourceMemory] = memory
	disk := list[corev1.ResourceEphemeralStorage]
	list[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(disk.Value()/100*(100-minimumDiskShare), resource.BinarySI)
	return list
}

func setNodeInfo(info *corev1.NodeSystemInfo, f Facts) {
	info.MachineID, info.SystemUUID, info.BootID = f.Machine.MachineID, f.Machine.SystemUUID, f.Machine.BootID
	info.KubeletVersion = version.Get().GitVersion
	info.OperatingSystem, info.Architecture = goruntime.GOOS, goruntime.GOARCH
	if f.EngineProblem == nil {
		info.KernelVersion, info.OSImage = f.Engine.KernelVersion, f.Engine.OperatingSystem
		info.ContainerRuntimeVersion = f.Engine.Name + "://" + f.Engine.Version
	}
}

// imageList names the largest images, which matter most to the scheduler.
func imageList(images []runtime.Image) []corev1.ContainerImage {
	list := make([]corev1.ContainerImage, 0, len(images))
	for _, image := range images {
		names := slices.Concat(image.RepoDigests, image.RepoTags)
		if len(names) > 0 {
			list = append(list, corev1.ContainerImage{Names: names[:min(len(names), maximumNames)], SizeBytes: image.SizeBytes})
		}
	}
	// In a fixed order: another one would be a change to write.
	slices.SortFunc(list, func(a, b corev1.ContainerImage) int {
		return cmp.Or(cmp.Compare(b.SizeBytes, a.SizeBytes), slices.Compare(a.Names, b.Names))
	})
	return list[:min(len(list), maximumImages)]
}

func setCondition(s *corev1.NodeStatus, condition corev1.NodeCondition, now time.Time) {
	condition.LastHeartbeatTime = metav1.NewTime(now)
	condition.LastTransitionTime = metav1.NewTime(now)
	for i := range s.Conditions {
		if s.Conditions[i].Type != condition.Type {
			continue
		}
		if s.Conditions[i].Status == condition.Status {
			condition.LastTransitionTime = s.Conditions[i].LastTransitionTime
		}
		s.Conditions[i] = condition
		return
	}
	s.Conditions = append(s.Conditions, condition)
}

// conditions are those that the node agent owns, Ready the last.
func conditions(f Facts) []corev1.NodeCondition {
	m := f.Machine
	pressure := func(kind corev1.NodeConditionType, on bool, calm, calmText, pressed, pressedText string) corev1.NodeCondition {
		if on {
			return corev1.NodeCondition{Type: kind, Status: corev1.ConditionTrue, Reason: pressed, Message: pressedText}
		}
		return corev1.NodeCondition{Type: kind, Status: corev1.ConditionFalse, Reason: calm, Message: calmText}
	}
	return []corev1.NodeCondition{
		pressure(corev1.NodeMemoryPressure, m.MemoryAvailable > 0 && m.MemoryAvailable < minimumMemory,
			"KubeletHasSufficientMemory", "kubelet has sufficient memory available", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
		pressure(corev1.NodeDiskPressure, m.Disk > 0 && m.DiskAvailable < m.Disk/100*minimumDiskShare || m.Inodes > 0 && m.InodesFree < m.Inodes/100*minimumInodes,
			"KubeletHasNoDiskPressure", "kubelet has no disk pressure", "KubeletHasDiskPressure", "kubelet has disk pressure"),
		pressure(corev1.NodePIDPressure, m.PIDs > 0 && m.PIDsUsed > m.PIDs/100*95,
			"KubeletHasSufficientPID", "kubelet has sufficient PID available", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
		readyCondition(f),
	}
}

func readyCondition(f Facts) corev1.NodeCondition {
	c := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady"}
	switch {
	case f.EngineProblem != nil:
		c.Message = fmt.Sprintf("container runtime is down: %v", f.EngineProblem)
	case f.NetworkProblem != nil:
		c.Message = fmt.Sprintf("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:docker: network plugin is not ready: %v", f.NetworkProblem)
	default:
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"
	}
	return c
}

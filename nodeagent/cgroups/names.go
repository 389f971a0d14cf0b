// Package cgroups knows where the cgroups of pods are, what limits they and
// their containers get, and what they have used.
//
// The tree is kube's: kubepods, below it burstable and besteffort (guaranteed
// pods are directly in kubepods), then one cgroup per pod; the engine puts the
// containers' cgroups in that. The names depend on the engine's cgroup driver
// (cgroupfs or systemd), the files on the cgroup version (1 or 2).
//
// Names and numbers are pure functions; Manager acts on the host.
package cgroups

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Driver is who makes cgroups: the engine itself, or systemd on its behalf.
type Driver string

// The drivers.
const (
	Cgroupfs Driver = "cgroupfs"
	Systemd  Driver = "systemd"
)

const root = "kubepods"

// Names gives the names of cgroups for one driver.
type Names struct {
	Driver Driver
}

// Pod returns the cgroup of a pod in the form that the engine takes as cgroup
// parent: a path with cgroupfs ("/kubepods/burstable/pod<uid>"), a slice with
// systemd ("kubepods-burstable-pod<uid>.slice").
func (n Names) Pod(qos corev1.PodQOSClass, uid string) string {
	elements := append(qosElements(qos), "pod"+uid)
	if n.Driver == Systemd {
		return slice(elements)
	}
	return "/" + path.Join(elements...)
}

// QOS returns the cgroup that holds the pods of a class, in the same form.
func (n Names) QOS(qos corev1.PodQOSClass) string {
	if n.Driver == Systemd {
		return slice(qosElements(qos))
	}
	return "/" + path.Join(qosElements(qos)...)
}

// Path returns the path of a cgroup parent (as Pod and QOS return it) below
// the mount points of the cgroup file systems.
func (n Names) Path(parent string) string {
	if n.Driver != Systemd {
		return path.Clean("/" + parent)
	}
	// a-b-c.slice lives in a.slice/a-b.slice/a-b-c.slice.
	name := strings.TrimSuffix(path.Base(parent), ".slice")
	result := "/"
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '-' {
			result = path.Join(result, name[:i]+".slice")
		}
	}
	return result
}

// Container returns the path of a container's cgroup that the Docker Engine makes in a parent.
func (n Names) Container(parent, containerID string) string {
	if n.Driver == Systemd {
		return path.Join(n.Path(parent), "docker-"+containerID+".scope")
	}
	return path.Join(n.Path(parent), containerID)
}

// podUID returns the UID in the last element of a pod's cgroup path.
func (n Names) podUID(dir string) (string, bool) {
	if n.Driver == Systemd {
		name, ok := strings.CutSuffix(dir, ".slice")
		i := strings.LastIndex(name, "-pod")
		if !ok || i < 0 {
			return "", false
		}
		return strings.ReplaceAll(name[i+len("-pod"):], "_", "-"), true
	}
	uid, ok := strings.CutPrefix(dir, "pod")
	return uid, ok && uid != ""
}

func qosElements(qos corev1.PodQOSClass) []string {
	switch qos {
	case corev1.PodQOSGuaranteed:
		return []string{root}
	case corev1.PodQOSBurstable:
		return []string{root, "burstable"}
	default:
		return []string{root, "besteffort"}
	}
}

// slice joins elements to a slice's name; "-" separates the levels, so it is
// written "_" inside of one.
func slice(elements []string) string {
	escaped := make([]string, len(elements))
	for i, e := range elements {
		escaped[i] = strings.ReplaceAll(e, "-", "_")
	}
	return strings.Join(escaped, "-") + ".slice"
}

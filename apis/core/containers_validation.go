package core

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// containerRules checks containers in the light of the pod that they belong to.
type containerRules struct {
	spec    *corev1.PodSpec
	volumes map[string]*corev1.VolumeSource
	claims  sets.Set[string]
}

func newContainerRules(spec *corev1.PodSpec) containerRules {
	rules := containerRules{spec: spec, volumes: map[string]*corev1.VolumeSource{}, claims: sets.New[string]()}
	for i := range spec.Volumes {
		rules.volumes[spec.Volumes[i].Name] = &spec.Volumes[i].VolumeSource
	}
	for _, claim := range spec.ResourceClaims {
		rules.claims.Insert(claim.Name)
	}
	return rules
}

// checkAll checks the containers of all three kinds. Names are unique in the pod.
func (r containerRules) checkAll(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	errs = append(errs, r.checkMain(names, path.Child("containers"))...)
	errs = append(errs, r.checkInit(names, path.Child("initContainers"))...)
	return append(errs, r.checkEphemeral(names, path.Child("ephemeralContainers"))...)
}

func (r containerRules) checkMain(names sets.Set[string], path *field.Path) field.ErrorList {
	if len(r.spec.Containers) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	for i := range r.spec.Containers {
		c, at := &r.spec.Containers[i], path.Index(i)
		errs = append(errs, r.check(c, at)...)
		errs = append(errs, checkUniqueName(c.Name, names, at)...)
		errs = append(errs, r.checkLifecycle(c.Lifecycle, at.Child("lifecycle"))...)
		errs = append(errs, r.checkProbes(c, at)...)
		errs = append(errs, checkRestartRules(c, at)...)
	}
	return append(errs, checkHostPortConflicts(r.spec.Containers, path)...)
}

func (r containerRules) checkInit(names sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range r.spec.InitContainers {
		c, at := &r.spec.InitContainers[i], path.Index(i)
		errs = append(errs, r.check(c, at)...)
		errs = append(errs, checkUniqueName(c.Name, names, at)...)
		errs = append(errs, checkRestartRules(c, at)...)
		errs = append(errs, checkHostPortConflicts(r.spec.InitContainers[i:i+1], path)...)
		if podhelper.IsSidecar(c) {
			errs = append(errs, r.checkLifecycle(c.Lifecycle, at.Child("lifecycle"))...)
			errs = append(errs, r.checkProbes(c, at)...)
			continue
		}
		const refusal = "may not be set for init containers without restartPolicy=Always"
		errs = append(errs, forbid(at, refusal, map[string]bool{
			"lifecycle": c.Lifecycle != nil, "livenessProbe": c.LivenessProbe != nil,
			"readinessProbe": c.ReadinessProbe != nil, "startupProbe": c.StartupProbe != nil,
		})...)
		if len(c.ResizePolicy) > 0 {
			errs = append(errs, field.Invalid(at.Child("resizePolicy"), c.ResizePolicy, "must not be set for init containers"))
		}
	}
	return errs
}

// debugFields are what an ephemeral container may have; it is for debugging and
// takes no part in the pod's life.
var debugFields = sets.New(
	"Name", "Image", "Command", "Args", "WorkingDir", "EnvFrom", "Env", "VolumeMounts", "VolumeDevices",
	"TerminationMessagePath", "TerminationMessagePolicy", "ImagePullPolicy", "SecurityContext",
	"Stdin", "StdinOnce", "TTY",
)

func (r containerRules) checkEphemeral(names sets.Set[string], path *field.Path) field.ErrorList {
	const refusal = "cannot be set for an Ephemeral Container"
	var errs field.ErrorList
	targets := names.Clone()
	for i := range r.spec.EphemeralContainers {
		ephemeral, at := &r.spec.EphemeralContainers[i], path.Index(i)
		c := (*corev1.Container)(&ephemeral.EphemeralContainerCommon)
		errs = append(errs, r.check(c, at)...)
		errs = append(errs, checkUniqueName(c.Name, names, at)...)
		if target := ephemeral.TargetContainerName; target != "" && !targets.Has(target) {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), target))
		}
		value := reflect.ValueOf(*c)
		for n := range value.NumField() {
			f := value.Type().Field(n)
			if !debugFields.Has(f.Name) && !value.Field(n).IsZero() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				errs = append(errs, field.Forbidden(at.Child(name), refusal))
			}
		}
		for m, mount := range c.VolumeMounts {
			if mount.SubPath != "" {
				errs = append(errs, field.Forbidden(at.Child("volumeMounts").Index(m).Child("subPath"), refusal))
			}
			if mount.SubPathExpr != "" {
				errs = append(errs, field.Forbidden(at.Child("volumeMounts").Index(m).Child("subPathExpr"), refusal))
			}
		}
	}
	return errs
}

// check applies the rules for containers of every kind.
func (r containerRules) check(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, rules.DNSLabel(c.Name, path.Child("name"))...)
	}
	errs = append(errs, checkRequired(c.Image, path.Child("image"))...)
	errs = append(errs, rules.RequiredEnum(c.TerminationMessagePolicy, path.Child("terminationMessagePolicy"),
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, checkContainerPorts(c.Ports, path.Child("ports"))...)
	if r.spec.HostNetwork {
		errs = append(errs, checkHostNetworkPorts(c.Ports, path.Child("ports"))...)
	}
	errs = append(errs, r.checkEnv(c.Env, path.Child("env"))...)
	errs = append(errs, checkEnvFrom(c.EnvFrom, path.Child("envFrom"))...)
	errs = append(errs, r.checkMounts(c, path.Child("volumeMounts"))...)
	errs = append(errs, r.checkDevices(c.VolumeDevices, path.Child("volumeDevices"))...)
	errs = append(errs, rules.RequiredEnum(c.ImagePullPolicy, path.Child("imagePullPolicy"),
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, checkResources(&c.Resources, r.claims, path.Child("resources"))...)
	errs = append(errs, r.checkResizePolicy(c.ResizePolicy, path.Child("resizePolicy"))...)
	return append(errs, r.checkSecurityContext(c.SecurityContext, path.Child("securityContext"))...)
}

func checkUniqueName(name string, names sets.Set[string], path *field.Path) field.ErrorList {
	if names.Has(name) {
		return field.ErrorList{field.Duplicate(path.Child("name"), name)}
	}
	names.Insert(name)
	return nil
}

func checkContainerPorts(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		at := path.Index(i)
		if port.Name != "" {
			if messages := validation.IsValidPortName(port.Name); len(messages) > 0 {
				errs = append(errs, rules.Invalid(at.Child("name"), port.Name, messages...)...)
			} else {
				errs = append(errs, checkUniqueName(port.Name, names, at)...)
			}
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, checkPort(port.ContainerPort, at.Child("containerPort"))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, checkPort(port.HostPort, at.Child("hostPort"))...)
		}
		errs = append(errs, checkProtocol(port.Protocol, at.Child("protocol"))...)
	}
	return errs
}

// checkHostNetworkPorts checks that a port on the host's network is the same from
// both sides. Templates may leave the host port out; pods get it by default.
func checkHostNetworkPorts(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, port := range ports {
		if port.HostPort != 0 && port.HostPort != port.ContainerPort {
			errs = append(errs, field.Invalid(path.Index(i).Child("containerPort"), port.ContainerPort,
				"must match `hostPort` when `hostNetwork` is true"))
		}
	}
	return errs
}

// checkHostPortConflicts checks that no two ports of containers that run at the
// same time claim the same port of the node.
func checkHostPortConflicts(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	claimed := sets.New[string]()
	for i := range containers {
		for j, port := range containers[i].Ports {
			if port.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if claimed.Has(key) {
				errs = append(errs, field.Duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			claimed.Insert(key)
		}
	}
	return errs
}

// checkRestartRules checks a restart policy of the container's own (KEP-5307).
func checkRestartRules(c *corev1.Container, path *field.Path) field.ErrorList {
	const maxRules, maxCodes = 20, 255
	var errs field.ErrorList
	rulesPath := path.Child("restartPolicyRules")
	if c.RestartPolicy == nil {
		if len(c.RestartPolicyRules) > 0 {
			errs = append(errs, field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
		}
		return errs
	}
	errs = append(errs, rules.Enum(*c.RestartPolicy, path.Child("restartPolicy"), corev1.ContainerRestartPolicyAlways,
		corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	if len(c.RestartPolicyRules) > maxRules {
		errs = append(errs, field.TooMany(rulesPath, len(c.RestartPolicyRules), maxRules))
	}
	for i, rule := range c.RestartPolicyRules {
		at := rulesPath.Index(i)
		errs = append(errs, rules.RequiredEnum(rule.Action, at.Child("action"), corev1.ContainerRestartRuleActionRestart)...)
		if rule.ExitCodes == nil {
			errs = append(errs, field.Required(at.Child("exitCodes"), "must be specified"))
			continue
		}
		errs = append(errs, rules.RequiredEnum(rule.ExitCodes.Operator, at.Child("exitCodes", "operator"),
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
		if len(rule.ExitCodes.Values) > maxCodes {
			errs = append(errs, field.TooMany(at.Child("exitCodes", "values"), len(rule.ExitCodes.Values), maxCodes))
		}
	}
	return errs
}

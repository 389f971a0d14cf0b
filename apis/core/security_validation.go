package core

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/node/util/sysctl"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

func (r containerRules) checkSecurityContext(sc *corev1.SecurityContext, path *field.Path) field.ErrorList {
	if sc == nil {
		return nil
	}
	errs := checkUserAndGroup(sc.RunAsUser, sc.RunAsGroup, path)
	if sc.ProcMount != nil {
		errs = append(errs, rules.Enum(*sc.ProcMount, path.Child("procMount"), corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
		if *sc.ProcMount == corev1.UnmaskedProcMount && (r.spec.HostUsers == nil || *r.spec.HostUsers) {
			errs = append(errs, field.Invalid(path.Child("procMount"), sc.ProcMount, "`hostUsers` must be false to use `Unmasked`"))
		}
	}
	errs = append(errs, checkSeccomp(sc.SeccompProfile, path.Child("seccompProfile"))...)
	errs = append(errs, checkAppArmor(sc.AppArmorProfile, path.Child("appArmorProfile"))...)
	errs = append(errs, checkWindowsOptions(sc.WindowsOptions, path.Child("windowsOptions"))...)
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return errs
	}
	if sc.Privileged != nil && *sc.Privileged {
		errs = append(errs, field.Invalid(path, sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if c := sc.Capabilities; c != nil && slices.Contains(c.Add, "CAP_SYS_ADMIN") {
		errs = append(errs, field.Invalid(path, sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
	}
	return errs
}

func checkUserAndGroup(user, group *int64, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if user != nil {
		errs = append(errs, rules.Invalid(path.Child("runAsUser"), *user, validation.IsValidUserID(*user)...)...)
	}
	if group != nil {
		errs = append(errs, rules.Invalid(path.Child("runAsGroup"), *group, validation.IsValidGroupID(*group)...)...)
	}
	return errs
}

func checkSeccomp(p *corev1.SeccompProfile, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	at := path.Child("localhostProfile")
	var errs field.ErrorList
	if p.Type == "" {
		errs = append(errs, field.Required(path.Child("type"), "type is required when seccompProfile is set"))
	} else {
		errs = append(errs, rules.Enum(p.Type, path.Child("type"), corev1.SeccompProfileTypeLocalhost,
			corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)...)
	}
	switch {
	case p.Type == corev1.SeccompProfileTypeLocalhost && p.LocalhostProfile == nil:
		errs = append(errs, field.Required(at, "must be set when seccomp type is Localhost"))
	case p.Type == corev1.SeccompProfileTypeLocalhost:
		errs = append(errs, checkRelativePath(*p.LocalhostProfile, at)...)
	case p.LocalhostProfile != nil:
		errs = append(errs, field.Invalid(at, p, "can only be set when seccomp type is Localhost"))
	}
	return errs
}

func checkAppArmor(p *corev1.AppArmorProfile, path *field.Path) field.ErrorList {
	const maxLength = 4095
	if p == nil {
		return nil
	}
	at := path.Child("localhostProfile")
	var errs field.ErrorList
	if p.Type == "" {
		errs = append(errs, field.Required(path.Child("type"), "type is required when appArmorProfile is set"))
	} else {
		errs = append(errs, rules.Enum(p.Type, path.Child("type"), corev1.AppArmorProfileTypeLocalhost,
			corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)...)
	}
	local := p.LocalhostProfile
	if p.Type != corev1.AppArmorProfileTypeLocalhost {
		if local != nil {
			errs = append(errs, field.Invalid(at, *local, "can only be set when AppArmor type is Localhost"))
		}
		return errs
	}
	switch {
	case local == nil || strings.TrimSpace(*local) == "":
		errs = append(errs, field.Required(at, "must be set when AppArmor type is Localhost"))
	case strings.TrimSpace(*local) != *local:
		errs = append(errs, field.Invalid(at, *local, "must not be padded with whitespace"))
	case len(*local) > maxLength:
		errs = append(errs, field.TooLong(at, *local, maxLength))
	}
	return errs
}

func checkWindowsOptions(w *corev1.WindowsSecurityContextOptions, path *field.Path) field.ErrorList {
	if w == nil {
		return nil
	}
	var errs field.ErrorList
	if w.GMSACredentialSpecName != nil {
		errs = append(errs, rules.DNSSubdomain(*w.GMSACredentialSpecName, path.Child("gmsaCredentialSpecName"))...)
	}
	if s := w.GMSACredentialSpec; s != nil {
		const maxLength = 64 * 1024
		switch {
		case *s == "":
			errs = append(errs, field.Invalid(path.Child("gmsaCredentialSpec"), *s, "gmsaCredentialSpec cannot be an empty string"))
		case len(*s) > maxLength:
			errs = append(errs, field.Invalid(path.Child("gmsaCredentialSpec"), *s,
				fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxLength/1024)))
		}
	}
	if w.RunAsUserName != nil && *w.RunAsUserName == "" {
		errs = append(errs, field.Invalid(path.Child("runAsUserName"), *w.RunAsUserName, "runAsUserName cannot be an empty string"))
	}
	return errs
}

// checkPodSecurityContext checks what holds for all containers of the pod.
func checkPodSecurityContext(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace && spec.HostPID {
		return append(field.ErrorList{field.Invalid(path.Child("shareProcessNamespace"), *spec.ShareProcessNamespace,
			"ShareProcessNamespace and HostPID cannot both be enabled")}, checkPodIdentity(spec, path)...)
	}
	return checkPodIdentity(spec, path)
}

func checkPodIdentity(spec *corev1.PodSpec, parent *field.Path) field.ErrorList {
	sc := spec.SecurityContext
	if sc == nil {
		return nil
	}
	path := parent.Child("securityContext")
	errs := checkUserAndGroup(sc.RunAsUser, sc.RunAsGroup, path)
	if sc.FSGroup != nil {
		errs = append(errs, rules.Invalid(path.Child("fsGroup"), *sc.FSGroup, validation.IsValidGroupID(*sc.FSGroup)...)...)
	}
	for i, group := range sc.SupplementalGroups {
		errs = append(errs, rules.Invalid(path.Child("supplementalGroups").Index(i), group, validation.IsValidGroupID(group)...)...)
	}
	errs = append(errs, checkSysctls(sc.Sysctls, spec, path.Child("sysctls"))...)
	errs = append(errs, checkOptionalEnum(sc.FSGroupChangePolicy, path.Child("fsGroupChangePolicy"),
		corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	errs = append(errs, checkOptionalEnum(sc.SupplementalGroupsPolicy, path.Child("supplementalGroupsPolicy"),
		corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	errs = append(errs, checkOptionalEnum(sc.SELinuxChangePolicy, path.Child("seLinuxChangePolicy"),
		corev1.SELinuxChangePolicyRecursive, corev1.SELinuxChangePolicyMountOption)...)
	errs = append(errs, checkSeccomp(sc.SeccompProfile, path.Child("seccompProfile"))...)
	errs = append(errs, checkAppArmor(sc.AppArmorProfile, path.Child("appArmorProfile"))...)
	return append(errs, checkWindowsOptions(sc.WindowsOptions, path.Child("windowsOptions"))...)
}

const (
	sysctlSegment = `[a-z0-9]([-_a-z0-9]*[a-z0-9])?`
	sysctlFormat  = `(` + sysctlSegment + `[\./])*` + sysctlSegment
	sysctlLength  = 253
)

var sysctlPattern = regexp.MustCompile(`^` + sysctlFormat + `$`)

func checkSysctls(list []corev1.Sysctl, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, s := range list {
		at := path.Index(i).Child("name")
		name := sysctl.NormalizeName(s.Name)
		switch {
		case s.Name == "":
			errs = append(errs, field.Required(at, ""))
		case len(s.Name) > sysctlLength || !sysctlPattern.MatchString(s.Name):
			errs = append(errs, field.Invalid(at, s.Name,
				fmt.Sprintf("must have at most %d characters and match regex %s", sysctlLength, sysctlFormat)))
		case seen.Has(name):
			errs = append(errs, field.Duplicate(at, s.Name))
		}
		seen.Insert(name)
		namespace, _, _ := sysctl.GetNamespace(name)
		if namespace == sysctl.NetNamespace && spec.HostNetwork {
			errs = append(errs, field.Invalid(at, s.Name, "may not be specified when 'hostNetwork' is true"))
		}
		if namespace == sysctl.IPCNamespace && spec.HostIPC {
			errs = append(errs, field.Invalid(at, s.Name, "may not be specified when 'hostIPC' is true"))
		}
	}
	return errs
}

package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

func (r containerRules) checkMounts(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range c.VolumeMounts {
		mount, at := &c.VolumeMounts[i], path.Index(i)
		errs = append(errs, checkRequired(mount.Name, at.Child("name"))...)
		if r.volumes[mount.Name] == nil {
			errs = append(errs, field.NotFound(at.Child("name"), mount.Name))
		}
		errs = append(errs, checkRequired(mount.MountPath, at.Child("mountPath"))...)
		if seen.Has(mount.MountPath) {
			errs = append(errs, field.Invalid(at.Child("mountPath"), mount.MountPath, "must be unique"))
		}
		seen.Insert(mount.MountPath)
		if slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.Name == mount.Name }) {
			errs = append(errs, field.Invalid(at.Child("name"), mount.Name, "must not already exist in volumeDevices"))
		}
		if slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.DevicePath == mount.MountPath }) {
			errs = append(errs, field.Invalid(at.Child("mountPath"), mount.MountPath, "must not already exist as a path in volumeDevices"))
		}
		if mount.SubPath != "" {
			errs = append(errs, checkRelativePath(mount.SubPath, at.Child("subPath"))...)
		}
		if mount.SubPathExpr != "" {
			if mount.SubPath != "" {
				errs = append(errs, field.Invalid(at.Child("subPathExpr"), mount.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
			}
			errs = append(errs, checkRelativePath(mount.SubPathExpr, at.Child("subPathExpr"))...)
		}
		errs = append(errs, checkPropagation(mount, c.SecurityContext, at.Child("mountPropagation"))...)
		errs = append(errs, checkRecursiveReadOnly(mount, at.Child("recursiveReadOnly"))...)
	}
	return errs
}

func checkPropagation(mount *corev1.VolumeMount, sc *corev1.SecurityContext, path *field.Path) field.ErrorList {
	if mount.MountPropagation == nil {
		return nil
	}
	errs := rules.Enum(*mount.MountPropagation, path,
		corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	privileged := sc != nil && sc.Privileged != nil && *sc.Privileged
	if *mount.MountPropagation == corev1.MountPropagationBidirectional && !privileged {
		errs = append(errs, field.Forbidden(path, "Bidirectional mount propagation is available only to privileged containers"))
	}
	return errs
}

func checkRecursiveReadOnly(mount *corev1.VolumeMount, path *field.Path) field.ErrorList {
	if mount.RecursiveReadOnly == nil {
		return nil
	}
	mode := *mount.RecursiveReadOnly
	errs := rules.Enum(mode, path, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	if mode == corev1.RecursiveReadOnlyDisabled || len(errs) > 0 {
		return errs
	}
	if !mount.ReadOnly {
		errs = append(errs, field.Forbidden(path, "may only be specified when readOnly is true"))
	}
	if p := mount.MountPropagation; p != nil && *p != corev1.MountPropagationNone {
		errs = append(errs, field.Forbidden(path, "may only be specified when mountPropagation is None or not specified"))
	}
	return errs
}

// checkDevices checks raw block devices.
func (r containerRules) checkDevices(devices []corev1.VolumeDevice, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names, paths := sets.New[string](), sets.New[string]()
	for i, device := range devices {
		at := path.Index(i)
		errs = append(errs, checkRequired(device.Name, at.Child("name"))...)
		if names.Has(device.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), device.Name, "must be unique"))
		}
		names.Insert(device.Name)
		if volume := r.volumes[device.Name]; volume == nil {
			errs = append(errs, field.NotFound(at.Child("name"), device.Name))
		} else if volume.PersistentVolumeClaim == nil && volume.Ephemeral == nil {
			errs = append(errs, field.Invalid(at.Child("name"), device.Name,
				"can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
		}
		errs = append(errs, checkRequired(device.DevicePath, at.Child("devicePath"))...)
		if paths.Has(device.DevicePath) {
			errs = append(errs, field.Invalid(at.Child("devicePath"), device.DevicePath, "must be unique"))
		}
		paths.Insert(device.DevicePath)
		errs = append(errs, checkNoBacksteps(device.DevicePath, at.Child("devicePath"))...)
	}
	return errs
}

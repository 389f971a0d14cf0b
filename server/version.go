package server

import (
	"strings"

	apiversion "k8s.io/apimachinery/pkg/version"
	basecompatibility "k8s.io/component-base/compatibility"
)

// unstampedVersion is what a binary without version flags (go test, go run)
// reports; clients refuse to work with component-base's own placeholder.
const unstampedVersion = "v1.37.2+skiff"

// stampedVersion makes sure that /version is a version.
type stampedVersion struct {
	basecompatibility.EffectiveVersion
}

// Info implements EffectiveVersion.
func (v stampedVersion) Info() *apiversion.Info {
	info := v.EffectiveVersion.Info()
	if info == nil || !strings.HasPrefix(info.GitVersion, "v0.0.0") {
		return info
	}
	stamped := *info
	stamped.GitVersion, stamped.GitCommit, stamped.GitTreeState = unstampedVersion, "", ""
	return &stamped
}

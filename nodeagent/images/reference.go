package images

import (
	"fmt"

	"github.com/distribution/reference"
)

// Normalize returns the full form of an image name: "busybox" is docker.io/library/busybox:latest.
func Normalize(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", image, err)
	}
	return reference.TagNameOnly(named).String(), nil
}

// Package volumes makes the volumes of pods on the host and says what to mount
// into a container. There is one file for each kind of volume.
//
// Everything of a pod is below <root>/pods/<uid>, in kube's layout. Volumes
// whose content comes from the API (configMap, secret, downwardAPI, projected)
// are a Payload, made by pure functions, and are written so that a container
// sees either all of the old or all of the new content (atomic.go). Setting up is
// idempotent and is also how a volume is refreshed.
//
// Traps. Below a pod's directory there may be mounts of the host's own files
// (subPath of a hostPath): nothing is removed before every mount is gone. Users
// control what is inside a volume, symbolic links too: paths in it are followed
// only through os.Root.
package volumes

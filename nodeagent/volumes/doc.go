// Package volumes makes the volumes of pods on the host, keeps their content up
// to date, says what to bind into a container, and removes it all. There is one
// file for each kind of volume.
//
// Everything of a pod is below <root>/pods/<uid>, in kube's layout:
//
//	volumes/kubernetes.io~<plugin>/<name>                the volume
//	volume-subpaths/<name>/<container>/<number>          a bind of a part of it
//
// Content that comes from the API (configMap, secret, downwardAPI, projected) is
// made by pure functions as a payload (payload.go) and written so that a container
// sees either all of the old or all of the new (writer.go). Making a volume is
// idempotent, and is also how it is refreshed (refresh.go).
//
// Traps. Below a pod's directory there may be mounts of the host's own files
// (subPath of a hostPath, or what a container has mounted with Bidirectional):
// each is made private before it is unmounted, so that nothing is unmounted
// elsewhere, and nothing is deleted before every mount is gone. Users control
// what is inside of a volume, links too: paths in it are only resolved beneath it.
package volumes

// Package e2e tests whole clusters as their users meet them: by the built
// binaries, by stock kubectl and by client-go programs, with real containers.
//
// TestCluster is one story on one machine: the cluster comes up, everything a
// newcomer does is done, the cluster survives what can happen to it, and goes
// without a trace. Its parts work in namespaces of their own, so that one can be
// run alone: go test ./e2e -run 'TestCluster/Newcomer/Redis'.
//
// It needs root, Docker and bin/ (make build images); the folder of the binaries
// is in SKIFF_BIN.
package e2e

// Package server is the API server: k8s.io/apiserver's generic server, filled
// with the resource table of apis/scheme, on etcd.
//
// # Model
//
// Options are kube-apiserver's flags. New builds everything in the order in
// which the parts need each other: storage, in-process identities, the shared
// configuration (config.go), authentication and admission, the stores of all
// rows and their subresources (groups.go), the server, and the hooks that run
// once it listens (server/bootstrap). Run serves until its context ends, drains,
// and stops storage last. The shared genericapiserver.Config is complete before
// a server is made of it, so that further layers (CRDs, aggregation) can be
// built around this one from copies of it.
//
// # Traps
//
// The server's own clients go through the in-process transport, which answers
// only from New's end on; whatever is started earlier must wait or retry, as
// informers do.
package server

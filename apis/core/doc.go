// Package core declares the kinds of the core API group (v1): Pod,
// ReplicationController, Service, Namespace, Node, ConfigMap, Secret,
// ServiceAccount, Endpoints and Event.
//
// # Model
//
// Every kind is one row (see Resources), written in <kind>.go; its defaults are
// in <kind>_defaults.go, its rules in <kind>_validation.go and its table columns
// in <kind>_columns.go. The parts of a pod are many, so each has a file of its
// own, named after the concern: probes_validation.go, volumes_validation.go,
// scheduling_validation.go and so on. The workload kinds of other groups reuse
// SetDefaultsPodTemplateSpec and ValidatePodTemplateSpec.
//
// # Traps
//
// Defaulting also runs when an object is read from storage, so a default must
// be stable: applying it twice gives the same object, and applying it to an
// object that an older version stored must not turn it into another one.
//
// Errors carry the paths and the words that users of Kubernetes know; clients
// match on them.
package core

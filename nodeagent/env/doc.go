// Package env makes the environment of containers: the variables of a
// container's spec with their references resolved (fields of the pod, resources
// of containers, keys of config maps and secrets), whole config maps and
// secrets (envFrom), the variables that tell where Services are, and the
// $(NAME) references in values, commands and arguments.
//
// All is pure: what must be read from the API is given as functions.
package env

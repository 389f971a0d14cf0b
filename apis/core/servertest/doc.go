// Package servertest holds the tests of the core kinds that need the API server:
// what comes out when a client sends a manifest through authentication, admission,
// the strategies, etcd and back. It is a package of its own so that the tests of
// the rules themselves stay quick.
package servertest

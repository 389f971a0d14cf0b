// Package pki makes and keeps the certificates, keys and kubeconfig files of a
// cluster, in kubeadm's layout and all by code.
//
// # Model
//
// Ensure brings a folder to the wanted state and says what it changed: it makes
// what lacks, and renews certificates that come near their end, that another CA
// signed, or that no longer say what is wanted of them (names, addresses, user,
// groups). It never replaces a CA or the service account key: everything else
// hangs on them, and losing them must be somebody's decision.
//
// # Traps
//
// A file that cannot be read or parsed is an error that names it, not a reason
// to make a new one. Files are written to a temporary name, synced and renamed,
// so a crash leaves the old or the new one.
package pki

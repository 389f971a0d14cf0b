// Package testenv starts the project's own API server, with embedded etcd, in
// the test's process.
//
// Start gives a test a server of its own. Packages with many tests share one:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
//	func TestThing(t *testing.T) {
//		env := testenv.Shared(t)
//		ns := env.Namespace(t)
//		...
//	}
//
// All configurations that an Env hands out go through authentication, RBAC and
// admission. Admin is bound to cluster-admin. Nothing is left behind: the server
// stops and its directory is removed when the test, or Main, ends.
package testenv

// Package integration tests the controllers together, against our own API
// server and etcd. There is no node agent and no scheduler: testkit.Agent plays
// both, or the test writes statuses itself.
package integration

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/skiff-project/skiff/controllers"
	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var testCA = []byte("-----BEGIN CERTIFICATE-----\ntest\n-----END CERTIFICATE-----\n")

// config is the configuration of the controllers under test.
func config(env *testenv.Env) controllers.Config {
	return controllers.Config{
		RESTConfig:   env.ConfigFor("system:kube-controller-manager"),
		RootCA:       testCA,
		ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
	}
}

var starting sync.Mutex

// start runs the controllers for one test on the shared server. Two sets of them
// would fight, so tests of this package do not run in parallel.
func start(t *testing.T) *testenv.Env {
	t.Helper()
	if !starting.TryLock() {
		t.Fatal("tests with controllers must not run in parallel")
	}
	t.Cleanup(starting.Unlock)
	env := testenv.Shared(t)
	testkit.Run(t, config(env))
	return env
}

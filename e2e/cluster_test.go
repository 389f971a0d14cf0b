package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(m.Run())
}

// TestCluster is the whole story; see the package comment.
func TestCluster(t *testing.T) {
	requireMachine(t)
	before := machineState(t)
	c := newCluster(t)
	t.Cleanup(func() { c.purge(t) }) // whatever happens: leave the machine clean

	if !t.Run("Up", func(t *testing.T) { testUp(t, c) }) {
		t.Fatal("without a cluster there is nothing more to test")
	}
	t.Run("Newcomer", func(t *testing.T) {
		for _, test := range []struct {
			name string
			run  func(*testing.T, *cluster)
		}{
			{"RedisPod", testRedisPod},
			{"ReplicationController", testReplicationController},
			{"WebService", testWebService},
			{"RollingUpdate", testRollingUpdate},
			{"FreshImage", testFreshImage},
			{"Attach", testAttach},
			{"Rollback", testRollback},
			{"BadImage", testBadImage},
			{"CrashLoop", testCrashLoop},
			{"ReadinessLeavesEndpoints", testReadiness},
			{"Volumes", testVolumes},
			{"ConfigMapPage", testConfigMapPage},
			{"NamespaceDeletion", testNamespaceDeletion},
			{"GarbageCollection", testGarbageCollection},
			{"Apply", testApply},
			{"Output", testOutput},
			{"Watch", testWatch},
			{"InvalidManifests", testInvalidManifests},
			{"RBAC", testRBAC},
			{"InCluster", testInCluster},
			{"Debug", testDebug},
			{"Informer", testInformer},
			{"ControllerRuntime", testControllerRuntime},
			{"UnroutedServiceAddress", testUnroutedServiceAddress},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(t, c.in(t))
			})
		}
	})
	t.Run("Life", func(t *testing.T) {
		t.Run("SecondUp", func(t *testing.T) { testSecondUp(t, c) })
		t.Run("Kill", func(t *testing.T) { testKill(t, c) })
		t.Run("DownAndUp", func(t *testing.T) { testDownAndUp(t, c) })
		t.Run("Refusals", func(t *testing.T) { testRefusals(t, c) })
	})
	t.Run("PurgeRestoresTheMachine", func(t *testing.T) {
		c.purge(t)
		assertSameMachine(t, before, machineState(t))
	})
}

// requireMachine skips, by name, what no machine without root or Docker can do.
func requireMachine(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("needs a Docker Engine: %s", out)
	}
}

// binary finds a program that `make build` made.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("SKIFF_BIN")
	if dir == "" {
		dir = filepath.Join("..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatalf("finding %s: %v", name, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

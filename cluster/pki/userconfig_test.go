package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const foreign = `apiVersion: v1
kind: Config
current-context: work
preferences: {}
clusters:
- name: work
  cluster:
    server: https://work.example.com
    certificate-authority: ca.pem
    extensions:
    - name: note
      extension: {"owner": "ann"}
contexts:
- name: work
  context: {cluster: work, user: ann, namespace: team}
users:
- name: ann
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: get-token
      args: ["--fast"]
      interactiveMode: Never
`

func read(t *testing.T, path string) *clientcmdapi.Config {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestMergeKeepsForeignEntries(t *testing.T) {
	admin := ensure(t, t.TempDir(), config()).Admin
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, foreign)
	before := read(t, path)
	for range 2 { // the second time everything is there already
		if err := MergeKubeconfig(path, admin, "skiff"); err != nil {
			t.Fatal(err)
		}
	}
	merged := read(t, path)
	if merged.CurrentContext != "skiff" {
		t.Errorf("current context is %q", merged.CurrentContext)
	}
	if got := merged.Clusters["skiff"]; got == nil || got.Server != "https://127.0.0.1:6443" || len(got.CertificateAuthorityData) == 0 {
		t.Errorf("cluster: %+v", got)
	}
	if got := merged.AuthInfos["skiff"]; got == nil || len(got.ClientCertificateData) == 0 || len(got.ClientKeyData) == 0 {
		t.Error("the user has no certificate")
	}
	if diff := cmp.Diff(before.Clusters["work"], merged.Clusters["work"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before.AuthInfos["ann"], merged.AuthInfos["ann"], cmp.AllowUnexported(clientcmdapi.ExecConfig{})); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if _, err := clientcmd.BuildConfigFromFlags("", path); err != nil {
		t.Errorf("the merged file does not work: %v", err)
	}

	if err := RemoveContext(path, "skiff"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, read(t, path), cmp.AllowUnexported(clientcmdapi.ExecConfig{})); diff != "" {
		t.Errorf("after removal the file is not as before: %s", diff)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestMergeIntoNothing(t *testing.T) {
	admin := ensure(t, t.TempDir(), config()).Admin
	path := filepath.Join(t.TempDir(), ".kube", "config")
	if err := MergeKubeconfig(path, admin, "skiff"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path).CurrentContext; got != "skiff" {
		t.Errorf("current context is %q", got)
	}
	if err := RemoveContext(path, "skiff"); err != nil {
		t.Fatal(err)
	}
	left := read(t, path)
	if left.CurrentContext != "" || len(left.Clusters)+len(left.Contexts)+len(left.AuthInfos) != 0 {
		t.Errorf("left: %+v", left)
	}
	if err := RemoveContext(filepath.Join(t.TempDir(), "none"), "skiff"); err != nil {
		t.Errorf("removal from nothing: %v", err)
	}
}

func TestRemoveKeepsTheUsersChoice(t *testing.T) {
	admin := ensure(t, t.TempDir(), config()).Admin
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, foreign)
	if err := MergeKubeconfig(path, admin, "skiff"); err != nil {
		t.Fatal(err)
	}
	config := read(t, path)
	config.CurrentContext = "work"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	if err := RemoveContext(path, "skiff"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path).CurrentContext; got != "work" {
		t.Errorf("current context is %q", got)
	}
}

func TestMergeRefusesWhatItCannotRead(t *testing.T) {
	admin := ensure(t, t.TempDir(), config()).Admin
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, "{not yaml")
	err := MergeKubeconfig(path, admin, "skiff")
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "{not yaml" {
		t.Errorf("the file was touched: %q %v", data, err)
	}
	if _, err := os.Stat(path + ".lock"); err == nil {
		t.Error("the lock is left behind")
	}
}

func TestMergeFollowsLinks(t *testing.T) {
	admin := ensure(t, t.TempDir(), config()).Admin
	target := filepath.Join(t.TempDir(), "dotfiles")
	writeText(t, target, foreign)
	link := filepath.Join(t.TempDir(), "config")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := MergeKubeconfig(link, admin, "skiff"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	if got := read(t, target).CurrentContext; got != "skiff" {
		t.Errorf("current context of the target is %q", got)
	}
}

func TestUserKubeconfig(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	writeText(t, there, "")
	for env, want := range map[string]string{
		"":                              "/home/ann/.kube/config",
		there:                           there,
		"/none/a:" + there + ":/none/b": there,
		"/none/a:/none/b":               "/none/b",
		"::":                            "/home/ann/.kube/config",
	} {
		if got := UserKubeconfig(env, "/home/ann"); got != want {
			t.Errorf("%q: got %s, want %s", env, got, want)
		}
	}
}

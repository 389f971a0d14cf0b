package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// previousContext is the extension of our context that remembers which context
// was current before, so that removal can give it back.
const previousContext = "skiff-previous-context"

// UserKubeconfig returns the file that kubectl would change: the first existing
// one of $KUBECONFIG, else its last one, else .kube/config in home.
func UserKubeconfig(kubeconfigEnv, home string) string {
	files := filepath.SplitList(kubeconfigEnv)
	last := ""
	for _, file := range files {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err == nil {
			return file
		}
		last = file
	}
	if last != "" {
		return last
	}
	return filepath.Join(home, clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)
}

// MergeKubeconfig writes the cluster and user of the kubeconfig file admin into
// the user's file path under the given name, as a context that becomes the
// current one. Everything else in the file stays. The file belongs to whom it belonged,
// or to the owner of its folder, so that root can do this for a user.
func MergeKubeconfig(path, admin, name string) error {
	source, err := clientcmd.LoadFromFile(admin)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig %s: %w", admin, err)
	}
	context := source.Contexts[source.CurrentContext]
	if context == nil || source.Clusters[context.Cluster] == nil || source.AuthInfos[context.AuthInfo] == nil {
		return fmt.Errorf("the kubeconfig %s has no usable current context", admin)
	}
	cluster, user := source.Clusters[context.Cluster].DeepCopy(), source.AuthInfos[context.AuthInfo].DeepCopy()
	cluster.LocationOfOrigin, user.LocationOfOrigin = "", ""
	return change(path, func(config *clientcmdapi.Config) bool {
		ours := clientcmdapi.NewContext()
		if old := config.Contexts[name]; old != nil {
			ours = old
		}
		ours.Cluster, ours.AuthInfo = name, name
		if config.CurrentContext != "" && config.CurrentContext != name {
			ours.Extensions[previousContext] = &runtime.Unknown{
				Raw: fmt.Appendf(nil, "%q", config.CurrentContext), ContentType: runtime.ContentTypeJSON,
			}
		}
		config.Clusters[name], config.AuthInfos[name], config.Contexts[name] = cluster, user, ours
		config.CurrentContext = name
		return true
	})
}

// RemoveContext takes the context, cluster and user of the given name out of the
// user's file, and makes the context current again that was so before. A file or
// context that does not exist is no error.
func RemoveContext(path, name string) error {
	if found, err := exists(path); err != nil || !found {
		return err
	}
	return change(path, func(config *clientcmdapi.Config) bool {
		ours, known := config.Contexts[name]
		if _, cluster := config.Clusters[name]; !known && !cluster && config.AuthInfos[name] == nil {
			return false
		}
		if config.CurrentContext == name {
			config.CurrentContext = ""
			if before := rememberedContext(ours); config.Contexts[before] != nil {
				config.CurrentContext = before
			}
		}
		delete(config.Clusters, name)
		delete(config.AuthInfos, name)
		delete(config.Contexts, name)
		return true
	})
}

func rememberedContext(context *clientcmdapi.Context) string {
	if context == nil {
		return ""
	}
	unknown, ok := context.Extensions[previousContext].(*runtime.Unknown)
	if !ok {
		return ""
	}
	var name string
	if _, err := fmt.Sscanf(string(unknown.Raw), "%q", &name); err != nil {
		return ""
	}
	return name
}

// change rewrites a user's kubeconfig under the lock that kubectl takes, too.
func change(path string, edit func(*clientcmdapi.Config) bool) error {
	// A link, say into a dotfiles repository, stays a link.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	owner, err := ensureFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()

	config, err := clientcmd.LoadFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		config = clientcmdapi.NewConfig()
	case err != nil:
		return fmt.Errorf("reading the kubeconfig %s: %w", path, err)
	default:
		if info, err := os.Stat(path); err == nil {
			owner = ownerOf(info)
		}
	}
	if !edit(config) {
		return nil
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding the kubeconfig %s: %w", path, err)
	}
	if err := writeFile(path, data, 0o600); err != nil {
		return err
	}
	return owner.give(path)
}

// owner is whom a file belongs to.
type owner struct{ uid, gid int }

func ownerOf(info fs.FileInfo) owner {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return owner{uid: int(stat.Uid), gid: int(stat.Gid)}
	}
	return owner{uid: os.Getuid(), gid: os.Getgid()}
}

// give makes the owner own path. Only root can, and only root needs to.
func (o owner) give(path string) error {
	if os.Geteuid() != 0 || o.uid == 0 {
		return nil
	}
	if err := os.Chown(path, o.uid, o.gid); err != nil {
		return fmt.Errorf("giving %s to its owner: %w", path, err)
	}
	return nil
}

// ensureFolder makes the folder of a kubeconfig and returns who owns it. A new
// one goes to the owner of the folder above, which is the user's home.
func ensureFolder(dir string) (owner, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		above, err := ensureFolder(filepath.Dir(dir))
		if err != nil {
			return owner{}, err
		}
		if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return owner{}, fmt.Errorf("making the folder of the kubeconfig: %w", err)
		}
		return above, above.give(dir)
	}
	if err != nil {
		return owner{}, fmt.Errorf("looking for the folder of the kubeconfig: %w", err)
	}
	return ownerOf(info), nil
}

const (
	lockPatience = 3 * time.Second
	lockPause    = 20 * time.Millisecond
)

// lock takes the lock file that kubectl config and its relatives take.
func lock(path string) (unlock func(), err error) {
	file := path + ".lock"
	deadline := time.Now().Add(lockPatience)
	for {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0)
		if err == nil {
			f.Close()
			return func() { os.Remove(file) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("locking the kubeconfig %s: %w", path, err)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the kubeconfig %s is locked; if nothing is changing it, remove %s", path, file)
		}
		time.Sleep(lockPause)
	}
}

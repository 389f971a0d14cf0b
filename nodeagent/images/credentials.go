package images

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// dockerHub is the name in image references; its credentials are stored under older names.
const dockerHub = "docker.io"

var dockerHubAliases = []string{"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}

// auth is one entry of a Docker configuration file.
type auth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// entry is an auth and where it is valid.
type entry struct {
	location location
	auth     runtime.RegistryAuth
}

// location is a key of a Docker configuration: a host, whose labels may be
// patterns ("*.example.com"), with an optional port and path.
type location struct {
	host, port, path string
}

// Credentials returns the credentials in secrets (types
// kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg) that fit an
// image reference, the most specific first. The error joins what could not be read.
func Credentials(secrets []corev1.Secret, ref string) ([]runtime.RegistryAuth, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("couldn't parse image name %q: %w", ref, err)
	}
	var entries []entry
	var errs []error
	for i := range secrets {
		found, err := parseSecret(&secrets[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("reading secret %q: %w", secrets[i].Name, err))
		}
		entries = append(entries, found...)
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return !e.location.matches(named.Name()) })
	slices.SortStableFunc(entries, func(a, b entry) int { return len(b.location.path) - len(a.location.path) })
	result := make([]runtime.RegistryAuth, 0, len(entries))
	for _, e := range entries {
		result = append(result, e.auth)
	}
	return result, errors.Join(errs...)
}

func parseSecret(secret *corev1.Secret) ([]entry, error) {
	var auths map[string]auth
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		var file struct {
			Auths map[string]auth `json:"auths"`
		}
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &file); err != nil {
			return nil, withoutContent(err)
		}
		auths = file.Auths
	case corev1.SecretTypeDockercfg:
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigKey], &auths); err != nil {
			return nil, withoutContent(err)
		}
	default:
		return nil, fmt.Errorf("type %q holds no image pull credentials", secret.Type)
	}
	keys := make([]string, 0, len(auths))
	for key := range auths {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var entries []entry
	for _, key := range keys {
		credentials, err := auths[key].registryAuth()
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", key, err)
		}
		location := parseLocation(key)
		credentials.ServerAddress = location.host
		entries = append(entries, entry{location: location, auth: credentials})
	}
	return entries, nil
}

// withoutContent keeps the bytes of a secret out of logs.
func withoutContent(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("it is no JSON (at byte %d)", syntax.Offset)
	}
	return errors.New("it is no Docker configuration")
}

func (a auth) registryAuth() (runtime.RegistryAuth, error) {
	result := runtime.RegistryAuth{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if a.Auth == "" {
		return result, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(a.Auth)
	if err != nil {
		decoded, err = base64.RawStdEncoding.DecodeString(a.Auth)
	}
	user, password, found := strings.Cut(string(decoded), ":")
	if err != nil || !found {
		return result, errors.New("auth is not base64 of username:password")
	}
	if result.Username == "" {
		result.Username, result.Password = user, password
	}
	return result, nil
}

// parseLocation reads a key: "https://index.docker.io/v1/", "registry.example.com:5000/team", "*.example.com".
func parseLocation(key string) location {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	hostPort, rest, _ := strings.Cut(key, "/")
	rest = strings.Trim(rest, "/")
	// The version of the registry's API is no part of an image's name.
	if rest == "v1" || rest == "v2" {
		rest = ""
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "v1/"), "v2/")
	host, port := hostPort, ""
	if h, p, err := net.SplitHostPort(hostPort); err == nil {
		host, port = h, p
	}
	if slices.Contains(dockerHubAliases, host) {
		host = dockerHub
	}
	return location{host: host, port: port, path: rest}
}

// matches reports whether the location covers an image name (registry/path without tag).
func (l location) matches(name string) bool {
	image := parseLocation(name)
	if l.port != image.port {
		return false
	}
	if l.path != "" && image.path != l.path && !strings.HasPrefix(image.path, l.path+"/") {
		return false
	}
	want, have := strings.Split(l.host, "."), strings.Split(image.host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
